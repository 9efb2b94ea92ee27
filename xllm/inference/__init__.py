"""Stage 3: let a model answer."""
