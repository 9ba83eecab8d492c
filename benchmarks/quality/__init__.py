"""Total quality: fit its weights and the gate's ranges, and evaluate them on other people."""
