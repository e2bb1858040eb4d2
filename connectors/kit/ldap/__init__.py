"""The channel to a directory: LDAP (RFC 4511) over TLS."""
