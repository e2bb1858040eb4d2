"""Cases: opened, amended, begun, closed; each with its entries."""
