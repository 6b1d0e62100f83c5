"""Networks outside Python: as ONNX graphs with derivatives, and in a page that computes with them."""
