"""What the entries say, and whether figures and rows follow from them."""
