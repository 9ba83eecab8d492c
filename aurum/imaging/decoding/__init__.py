"""From a sent file to pixels: what it is, whether it is allowed, and then its decoder."""
