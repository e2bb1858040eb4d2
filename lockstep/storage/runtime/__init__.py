"""What is known of workflows beside the cases."""
