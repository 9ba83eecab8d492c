"""What all benchmarks share: raw rows, the machine's facts, processes."""
