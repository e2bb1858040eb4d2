"""The ledger: appended, ordered, sealed, proved, anchored."""
