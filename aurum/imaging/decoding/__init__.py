"""Decoding of untrusted image files: format detection, limits, then the decoder."""
