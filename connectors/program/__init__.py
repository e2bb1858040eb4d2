"""A system of an operator's own, spoken to by a program of theirs (docs/own-systems.md)."""
