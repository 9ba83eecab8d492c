"""The gateway before a public server: nginx with our configuration, and its API keys."""
