"""The one error of this package."""


class EmbeddedError(Exception):
    """A server of the single-machine shape could not be placed, started or kept.

    The message says what happened and what the operator can do about it, and is meant
    to be printed as it is.
    """
