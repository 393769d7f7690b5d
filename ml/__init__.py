"""The domain of mlconsole: registry, artifacts, SLOs, promotion and emergency. Knows no terminal."""

import os

# onnxruntime 1.29 and later sends data on loaded models to its maker, unless this is set before its import. A trading
# system's models are confidential, so this package sets it before any of its modules can import onnxruntime.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
