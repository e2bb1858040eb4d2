"""Commands about evidence packs."""
