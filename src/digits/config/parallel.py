"""How many jobs of a sweep run side by side; configurations ask for `${jobs_at_once:}`."""

import os
from pathlib import Path

MEMORY_GB_PER_JOB = 1.5
"""What a default run takes, and room for a larger network."""


def jobs_at_once() -> int:
    """Returns one job for each GPU; without a GPU one for each core, as far as memory goes.

    Small networks gain little from several threads, so that jobs with one thread each use the cores
    best.
    """
    if gpus := num_gpus():
        return gpus
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return max(1, min(num_cores(), int(memory_gb / MEMORY_GB_PER_JOB)))


def num_cores() -> int:
    """Returns the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def num_gpus() -> int:
    """Returns the NVIDIA GPUs that this process may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in ("", "-1")])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
