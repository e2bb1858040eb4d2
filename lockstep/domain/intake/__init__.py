"""Rules about what HR says: keys, numbers, names, brakes, further statements."""
