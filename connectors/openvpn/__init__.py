"""OpenVPN (community): revocation lists, blocks by client configuration, and sessions."""
