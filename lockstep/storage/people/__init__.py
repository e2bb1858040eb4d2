"""Users, tokens, who asked for what, and what somebody may know of."""
