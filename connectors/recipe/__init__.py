"""A system of an operator's own, as a TOML file that the one engine runs (docs/own-systems.md)."""
