"""The metrics of each task."""
