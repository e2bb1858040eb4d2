"""Files about single cases."""
