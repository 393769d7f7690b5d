"""The programs an operator runs: the terminal interface and the command line. Both use the same session."""

import os

# Textual reads this limit when it is imported. Our frames are few and small, and the second frame after a key press
# shows what the key chose, so it must not wait 17 ms.
os.environ.setdefault("TEXTUAL_FPS", "240")
