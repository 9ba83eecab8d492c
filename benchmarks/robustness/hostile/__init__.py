"""Hostile images and requests: made from a seed, sent to the real service, and judged."""
