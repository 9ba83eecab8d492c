"""Stage, validate, promote and roll back model releases of a running service."""
