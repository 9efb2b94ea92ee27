"""The scores of several models in one report."""
