"""From what HR says to cases: events, sheets, forms, whose case it is, and the brake."""
