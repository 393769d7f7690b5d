"""``python -m scripts.make_golden_artifact DIR``: make the artifact that checks the runtime (docs/artifacts.md)."""

import sys
from pathlib import Path

from ml.clock import SystemClock
from ml.training.run import make_golden

if __name__ == "__main__":
    make_golden(Path(sys.argv[1]), SystemClock().now())
