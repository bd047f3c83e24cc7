"""Torch and Lightning, imported in two thirds of the time."""

import gc
import sys


def import_lightning() -> None:
    """Imports torch and Lightning without the garbage collector; to be called before they are used.

    Their modules make a million objects that stay. The collector would look through them again and
    again while they are made (a quarter of the imports' time), and once more at the process's end.
    """
    if "pytorch_lightning" in sys.modules or not gc.isenabled():
        return
    gc.disable()
    try:
        import torch  # noqa: F401

        gc.freeze()  # not after the rest, too: triton would complain at the end of what was left
        import pytorch_lightning  # noqa: F401
    finally:
        gc.enable()
