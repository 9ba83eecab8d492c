"""The total quality: how its weights are fitted, and what they are worth on other people."""
