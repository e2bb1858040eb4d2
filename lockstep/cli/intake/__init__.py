"""Commands about what HR says."""
