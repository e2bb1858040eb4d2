"""The metric: asked for, computed, read, reported, told."""
