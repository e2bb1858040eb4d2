"""Entries, and what follows from them in order."""
