"""What a connector owes, asked of one system: by the conformance suite and by the command."""
