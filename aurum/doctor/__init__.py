"""Diagnostic checks of the machine, with instructions for fixing what they find."""
