"""Commands that set up, start and examine an installation."""
