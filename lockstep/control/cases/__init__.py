"""Use cases of one case, by people and by the clock."""
