"""The database itself: connections, clocks, schema."""
