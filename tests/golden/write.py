"""Write the golden losses again: python tests/golden/write.py [EXPERIMENT ...]

For a change that is meant to change the numbers, for a new experiment, and for a new release of
torch, before which the files are compared with a wide tolerance only. Commit what `git diff` then
shows together with the change, which should say why.
"""

import sys

from golden_losses import experiments, write

from digits.text import similar

if __name__ == "__main__":
    for experiment in sys.argv[1:] or experiments():
        if experiment not in experiments():
            near = similar(experiment, experiments()) or experiments()
            sys.exit(f"error: there is no experiment={experiment}; try {', '.join(near)}")
        print(write(experiment))
