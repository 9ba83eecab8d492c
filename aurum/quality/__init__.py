"""Face image quality: 16 parts, a total, and a gate that rejects unrecognizable faces."""
