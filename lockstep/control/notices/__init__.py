"""Telling people, and the scorecard, what happened."""
