"""Code that runs inside the sandbox: the only code that gives an artifact's bytes to onnxruntime."""
