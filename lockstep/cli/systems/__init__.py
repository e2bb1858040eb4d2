"""Commands about systems."""
