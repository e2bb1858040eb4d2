"""Active Directory, by LDAP over TLS, at every domain controller."""
