"""What a command line asks for: its overrides, and the jobs that a sweep composes from them."""

from digits.config.overrides import values
from digits.search.plan import parsed

__all__ = ["parsed", "values"]
