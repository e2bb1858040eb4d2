"""Who somebody is, what they may decide alone, and what is kept of them."""
