"""The simulated Slack Enterprise organisation."""
