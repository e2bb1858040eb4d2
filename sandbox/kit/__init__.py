"""What every simulated vendor shares."""
