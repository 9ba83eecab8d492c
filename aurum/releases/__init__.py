"""The state of the releases, and the active release."""
