"""Load generators and the inputs that they send."""
