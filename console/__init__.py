"""What the operator runs: the interface and the command line, two faces of one façade."""

import os

# Textual waits so long between two frames, and reads this when it is imported. Our frames are few and small, and the
# second one of a key press, which shows what the key chose, shall not wait for 17 ms.
os.environ.setdefault("TEXTUAL_FPS", "240")
