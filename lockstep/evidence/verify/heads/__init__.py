"""Heads, keys and who vouches for them."""
