"""Using a model: from logits to text."""
