"""What lists and the page `Now` read of cases."""
