"""The files in which the stages meet, one module a format."""
