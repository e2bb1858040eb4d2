"""Rules about what a person can reach, and what can go wrong there."""
