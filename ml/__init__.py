"""The domain of mlconsole: registry, artifacts, SLOs, promotion and emergency. Knows no terminal."""

import os

# onnxruntime 1.29 and later reports what it loads to its maker unless told not to before it is imported; whatever of
# ours may import it, a trading system's models are nobody else's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
