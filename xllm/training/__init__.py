"""Stage 2: full-parameter instruction tuning."""
