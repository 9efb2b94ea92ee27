"""The chat page: models to talk to, in a browser or through an API."""
