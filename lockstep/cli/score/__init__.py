"""Commands about the metric."""
