"""A SCIM 2.0 server that is no simulation: scim2-server."""
