"""Exceptions that are not bugs."""


class DigitsError(Exception):
    """A mistake or an outside fault, told in one line: what is wrong, and what to type instead."""


class Pruned(Exception):  # noqa: N818 - nothing is wrong
    """The early end of a run by a search, because others did better by then."""


class Terminated(SystemExit):
    """The end of a run by SIGTERM, which can be resumed: exit code 143, 128 and its number."""

    def __init__(self) -> None:
        super().__init__(143)
