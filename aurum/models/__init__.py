"""The models: the manifest that lists them, pulling their files, building the served graphs."""
