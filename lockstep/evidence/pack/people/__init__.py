"""Who is in the population, who is shown, and by which name."""
