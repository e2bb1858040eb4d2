"""A pack in the words of others: controls, OCSF, OSCAL."""
