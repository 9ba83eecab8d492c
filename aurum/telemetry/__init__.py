"""What is counted, logged and signalled about requests."""
