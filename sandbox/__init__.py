"""The laptop's side of the tutorial: an account, a fork, and the builds between them."""


class Mistake(Exception):
    """A mistake that the user can mend: what was found, and a hint with the command to type."""

    def __init__(self, message, hint):
        # type: (str, str) -> None
        super().__init__(message)
        self.hint = hint
