"""Pages about the metric."""
