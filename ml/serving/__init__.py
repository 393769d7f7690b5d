"""The reference engine: real onnxruntime inference with the real metrics."""
