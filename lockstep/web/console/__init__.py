"""The console: server-rendered pages on the same use cases as API and command line."""
