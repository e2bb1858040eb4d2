"""Pages about evidence packs."""
