"""Searching for a person's accounts, and what a search proves."""
