"""The database itself: connections, keys, clocks, schema."""
