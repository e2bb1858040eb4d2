"""PostgreSQL and Temporal as child processes, so that one machine needs nothing installed."""
