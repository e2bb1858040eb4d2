"""Use cases shared by API, console and command line."""
