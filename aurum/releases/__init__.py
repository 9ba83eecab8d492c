"""Which models are served: releases, the active one, and the served copy."""
