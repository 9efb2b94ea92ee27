"""OpenAI's API, served beside the page."""
