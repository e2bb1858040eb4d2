"""The simulated Entra tenant."""
