"""Writes the golden losses anew: python tests/golden/write.py [EXPERIMENT ...]

For a change that is meant to change the numbers, for a new experiment, and for a new release of
torch, before which the files are compared with a wide tolerance only. Commit what `git diff` then
shows together with the change, which should say why.
"""

import sys

from golden_losses import experiments, write

from digits.app import import_lightning

if __name__ == "__main__":
    import_lightning()
    for experiment in sys.argv[1:] or experiments():
        if experiment not in experiments():
            sys.exit(f"error: no experiment={experiment}; valid: {experiments()}")
        print(write(experiment))
