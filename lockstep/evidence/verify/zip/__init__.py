"""The archive, read without trusting it."""
