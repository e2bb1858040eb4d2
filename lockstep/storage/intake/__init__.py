"""The inbox, the brake, and what senders are told."""
