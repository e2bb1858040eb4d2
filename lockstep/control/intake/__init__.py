"""From what HR says to cases: events, whose case it is, and the brake."""
