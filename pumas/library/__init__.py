"""The model library: which models there are, and what their documents say."""
