"""Names that are good file names."""

import hashlib
import re

MAX_LENGTH = 100
"""File systems allow 255 bytes; TensorBoard and `ls` are readable up to about this many."""


def slug(text: str) -> str:
    """Makes a file name of `text`: letters, digits and `.,_+-` stay, the rest becomes `-`.

    What is too long is cut, and ends with a part of the whole text's SHA-256, so that two long
    names stay different.
    """
    name = re.sub(r"[^A-Za-z0-9.,_+-]+", "-", text).strip("-.")
    if len(name) > MAX_LENGTH:
        name = f"{name[: MAX_LENGTH - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name
