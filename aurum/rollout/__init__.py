"""New models for a running service: staged, validated, promoted, rolled back."""
