"""Stage 1: from a mixture's name to its records."""
