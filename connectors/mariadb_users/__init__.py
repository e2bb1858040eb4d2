"""Users of MariaDB and MySQL."""
