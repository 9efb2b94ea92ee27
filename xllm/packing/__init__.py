"""Computing without padding: rows end to end, and prompts that begin alike computed once."""
