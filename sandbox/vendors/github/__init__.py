"""The simulated GitHub organisation."""
