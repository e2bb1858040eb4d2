"""Who somebody is, and what nobody decides alone."""
