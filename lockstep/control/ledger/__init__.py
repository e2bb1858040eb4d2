"""Keeping the ledger sealed and carried to its anchors."""
