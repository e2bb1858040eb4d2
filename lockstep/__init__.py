"""Lockstep revokes a leaver's access everywhere at once, reads it back, and keeps the proof."""

__version__ = "0.1.0"
