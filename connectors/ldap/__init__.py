"""LDAP directories: OpenLDAP, 389 Directory Server and its kin, and any other."""
