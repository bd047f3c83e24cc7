"""The members of an ensemble, taken out of its file."""

from pathlib import Path
from typing import Any

from digits.recorded import ENSEMBLE, check_content


def member_contents(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what model.pt of each member of an ensemble holds; of a single network, nothing.

    Args:
        path: the file, for messages.
        content: what it holds; the network that it describes can be made.

    Raises:
        DigitsError: what it says of a member is wrong.
    """
    if content["model"] != ENSEMBLE:
        return []
    members = []
    for number, record in enumerate(content["arguments"]["members"]):
        weights = {
            name.removeprefix(weights_prefix(number)): weight
            for name, weight in content["weights"].items()
            if name.startswith(weights_prefix(number))
        }
        member = dict(record) | {"weights": weights}
        check_content(path, member)
        members.append(member)
    return members


def weights_prefix(number: int) -> str:
    """Returns what the names of a member's weights begin with in `AverageOfNetworks`."""
    return f"members.{number}.network."
