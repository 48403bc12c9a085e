"""A writer's own material: imported, cleaned, made into pairs to learn from."""
