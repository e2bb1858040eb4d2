"""What connectors to databases share: where servers are, and accounts read on each of them."""
