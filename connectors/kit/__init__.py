"""What every connector would otherwise write again."""
