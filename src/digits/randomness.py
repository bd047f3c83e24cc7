"""Seeds for random draws as a pure function of where the training stands.

Nothing random depends on what was drawn before: the order of epoch 7 and the dropout masks of step
4,321 are the same whether the run came there in one go or after a restart, and whatever else drew
numbers in between.
"""

import torch

AUGMENTATION = 1
"""Keeps what an image is changed by apart from what the network draws in the same step."""

_MASK = (1 << 64) - 1


def draw_seed(*coordinates: int) -> int:
    """Mix e.g. `(seed, epoch)` or `(seed, step, rank)` into one 32-bit seed.

    The mixer is SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014), so that neighbouring coordinates give unrelated seeds. 32 bits because torch's CPU
    generator uses no more.
    """
    state = 0
    for coordinate in coordinates:
        state = (state + coordinate + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state & 0xFFFFFFFF


def device_generator(device: torch.device) -> torch.Generator:
    """Return the generator that layers such as dropout draw from on `device`."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator
