"""All stages in one: commands called as a person types them, shown before they run."""
