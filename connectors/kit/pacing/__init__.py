"""How fast one credential may be used, and whose turn it is."""
