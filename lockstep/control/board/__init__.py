"""Cases as people look at them: in lists, narrowed, many at once."""
