"""WireGuard: peers of interfaces, live and in their files."""
