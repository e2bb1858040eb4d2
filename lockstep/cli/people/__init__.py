"""Commands about who may do what, who is told, and whose data is kept."""
