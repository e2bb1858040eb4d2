"""The simulated Okta org."""
