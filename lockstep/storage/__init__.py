"""SQLAlchemy repositories. All queries live here; the ledger can append and read, nothing else."""
