"""Pure rules: no I/O, no clock, no randomness. Safe to import inside a workflow."""
