"""Pure evidence: entries, canonical bytes, hashes. No I/O."""
