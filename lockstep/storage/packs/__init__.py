"""Ordered packs, and what they take from the database."""
