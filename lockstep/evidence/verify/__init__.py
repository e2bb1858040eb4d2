"""Check a pack offline, with Python and `cryptography` alone."""
