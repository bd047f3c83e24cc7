"""Three small splits of random images, none of them equal to another."""

import torch

from digits.exploration.splits import Split

SIZES = {"training": 40, "validation": 20, "test": 30}


def made_up_splits() -> list[Split]:
    generator = torch.Generator().manual_seed(0)
    splits = []
    for name, size in SIZES.items():
        images = torch.randint(256, (size, 1, 28, 28), generator=generator, dtype=torch.uint8)
        indices = torch.randperm(1000, generator=generator)[:size].sort().values
        splits.append(Split(name, images, torch.arange(size) % 10, indices))
    return splits
