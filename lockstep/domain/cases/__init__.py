"""Rules about a case: its cutoff, its clocks, its outcome."""
