"""The trainer behind `python -m scripts.train_regime_model`."""
