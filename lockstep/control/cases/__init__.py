"""Use cases of one case: what people decide about it, and how it is told."""
