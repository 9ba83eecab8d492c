"""Robustness: hostile input, killed and frozen processes, fairness between users."""
