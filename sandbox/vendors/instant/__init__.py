"""Instant, the smallest vendor, which does not exist."""
