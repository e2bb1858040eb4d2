"""What must reach others, written in the transaction that made it true."""
