"""Pages about what HR says."""
