"""Pages about systems and settings."""
