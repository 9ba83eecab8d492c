"""The gateway in front of a public server: nginx, its generated configuration and API keys."""
