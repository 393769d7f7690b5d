"""What runs inside the cage: the only code that gives an artifact's bytes to onnxruntime."""
