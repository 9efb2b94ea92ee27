"""Where records come from: loading scripts, and what those of like formats share."""
