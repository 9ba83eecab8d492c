"""Model manifest, downloads, building the served ONNX graphs, and the parity check."""
