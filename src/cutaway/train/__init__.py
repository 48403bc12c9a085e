"""Making a model: the recipe, the one training loop, checkpoints."""
