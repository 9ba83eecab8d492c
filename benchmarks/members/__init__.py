"""How well and how fast members are found in a table of many."""
