"""Questions to a model: where does it look, what would each layer say, which part made it say that?"""
