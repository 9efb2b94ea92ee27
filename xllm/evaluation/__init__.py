"""Stage 4: score the answers."""
