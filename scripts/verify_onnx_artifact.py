"""``python -m scripts.verify_onnx_artifact DIR -v``: verify an artifact (runbook, procedure 1, step 2)."""

import sys

from ml.adapters import processes
from ml.artifacts.build import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], processes.run))
