"""The simulated tailnet."""
