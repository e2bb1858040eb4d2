"""Pages about who is signed in, and who may be."""
