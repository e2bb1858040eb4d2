"""The exported proof: what is in a pack, and how its files are written. Pure."""
