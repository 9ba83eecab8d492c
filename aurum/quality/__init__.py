"""How fit for recognition a face is: parts, a total, and a gate."""
