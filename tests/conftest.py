"""What all tests share: one thread each, so that none waits for another."""

import os

# Before torch is imported, and for every process that a test starts.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
