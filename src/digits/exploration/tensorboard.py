"""The same tables and pictures for TensorBoard."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from digits.exploration.pixels import pixel_counts
from digits.exploration.splits import Split
from digits.page import Section, Table


def log_findings(folder: Path, splits: Sequence[Split], sections: Sequence[Section]) -> None:
    """Writes an event file: pictures, tables as text, and a pixel histogram of each split.

    Args:
        folder: where it is written; TensorBoard forgets what earlier ones in it say.
        splits: training, validation and test images.
        sections: what `explore` returned.
    """
    writer = SummaryWriter(str(folder), purge_step=0)
    try:
        for section in sections:
            paragraphs = [section.text, *map(_markdown, section.tables)]
            writer.add_text(section.title, "\n\n".join(paragraphs), global_step=0)
            for picture in section.pictures:
                with Image.open(picture.path) as image:
                    pixels = np.asarray(image.convert("RGB"))
                writer.add_image(picture.path.stem, pixels, global_step=0, dataformats="HWC")
        for split in splits:
            _add_histogram(writer, f"pixels/{split.name}", pixel_counts(split.images))
    finally:
        writer.close()


def _markdown(table: Table) -> str:
    rule = ["---:" if is_numeric else "---" for is_numeric in table.numeric]
    rows = [" | ".join(row) for row in (table.columns, rule, *table.rows)]
    return "\n".join([f"**{table.title}**", "", *(f"| {row} |" for row in rows)])


def _add_histogram(writer: SummaryWriter, tag: str, counts: Tensor) -> None:
    values = np.arange(256)
    numbers = counts.numpy()
    writer.add_histogram_raw(  # add_histogram would sort millions of pixels
        tag,
        min=0,
        max=255,
        num=int(numbers.sum()),
        sum=int(values @ numbers),
        sum_squares=int(values**2 @ numbers),
        bucket_limits=(values + 0.5).tolist(),
        bucket_counts=numbers.tolist(),
        global_step=0,
    )
