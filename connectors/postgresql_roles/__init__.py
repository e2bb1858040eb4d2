"""PostgreSQL: roles that log in, their sessions, memberships and attributes."""
