"""From characters to batches: corpora, tokenizers, windows of tokens."""
