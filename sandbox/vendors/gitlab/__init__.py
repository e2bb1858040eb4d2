"""The simulated GitLab instance."""
