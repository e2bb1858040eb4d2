"""Ways to sign in to a vendor."""
