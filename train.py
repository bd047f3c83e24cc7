"""Train, test, plot and save a network for handwritten digits.

    python train.py                                       the exercise: 97.5 %, 5 s
    python train.py model=dropout optim=sgd norm=exact    its improvement: 98.5 %, 17 s
    python train.py -m model=baseline,dropout seed=0,1,2  a sweep, with a leaderboard

(test accuracy and training time, means of five seeds on two cores without a GPU).

Each run is a directory in outputs/runs. Hydra composes its configuration from conf/, one folder
per question, and hands it to the recipe: what a run does, step by step, is in
src/digits/training/run.py. Installed, the same command is `digits train`.
"""

import sys
from pathlib import Path

from digits.app import command
from digits.process import begin, quick_end

if __name__ == "__main__":
    begin()
    with quick_end():
        command(sys.argv[1:], Path(__file__).parent / "conf")
