"""Answers judged by another model."""
