"""The simulated vendors, each with what a person has there."""
