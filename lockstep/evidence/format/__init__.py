"""What writer and verifier share: bytes, hashes, trees, signatures."""
