"""The index of models and the full-text search over it."""
