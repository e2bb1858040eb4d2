"""Systems and their part of each case."""
