"""Shapes, types and ranges of values."""

from collections.abc import Sequence

from digits.exploration.splits import Split
from digits.page import Section, Table


def describe_shapes(splits: Sequence[Split]) -> Section:
    """Says how images and labels lie in memory, and which values occur."""
    rows = []
    for split in splits:
        for what, tensor in (("images", split.images), ("labels", split.labels)):
            least, greatest = tensor.aminmax()
            rows.append(
                (
                    f"{split.name} {what}",
                    str(tuple(tensor.shape)),
                    str(tensor.dtype).removeprefix("torch."),
                    str(int(least)),
                    str(int(greatest)),
                )
            )
    return Section(
        "Shapes and values",
        "Images are (number, channels, height, width), as bytes: 0 is the background, 255 is full "
        "ink. A run normalizes them batch by batch.",
        tables=[Table(("tensor", "shape", "type", "least", "greatest"), rows, "shapes and values")],
    )
