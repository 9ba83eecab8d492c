"""What the Python backends do inside Triton; their ``model.py`` files only wire this up."""
