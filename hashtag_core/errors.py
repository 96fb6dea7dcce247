"""The one exception for what comes from outside and is not what it should be."""


class InputError(ValueError):
    """Bad input: the message is one line that says what was wrong, where, and what to do."""
