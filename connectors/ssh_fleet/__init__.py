"""Accounts and keys on a fleet of hosts, by SSH."""
