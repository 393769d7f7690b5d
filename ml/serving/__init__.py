"""The reference engine: real onnxruntime inference with the real metrics, and a kill switch read per snapshot."""
