"""From a name to a tokenizer and weights, and how a model gets here."""
