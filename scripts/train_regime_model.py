"""``python -m scripts.train_regime_model``: train a regime model (runbook, procedure 1, step 1)."""

import sys

from ml.adapters import processes
from ml.training.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], processes.run))
