"""Rows for what a vendor offers beyond revoking, and what runs them."""
