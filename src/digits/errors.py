"""What ends a run other than a fault of the program."""


class DigitsError(Exception):
    """A mistake or an outside fault, told in one line: what is wrong, and what to type instead."""


class Pruned(Exception):  # noqa: N818 - nothing is wrong
    """A search has ended a run early, because others did better by then."""


class Terminated(SystemExit):
    """SIGTERM, or another signal that asks a run to end; it can be resumed."""
