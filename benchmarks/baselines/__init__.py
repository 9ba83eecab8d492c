"""What the service is measured against: the same work without Triton."""
