"""Checks of the machine, and how to fix what they find."""
