"""Baselines and the competitor: the same work without Triton."""
