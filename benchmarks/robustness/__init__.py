"""What the service does with hostile input, kills, freezes and greedy neighbours."""
