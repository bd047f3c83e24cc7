"""A callback that writes down when the optimizer takes its first step."""

import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback


class FirstStep(Callback):
    """Write the time of the first step, in seconds since 1970, to a file."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_before_optimizer_step(self, *_: Any) -> None:
        if not self.file.exists():
            self.file.write_text(str(time.time()))
