"""The simulated Google Workspace."""
