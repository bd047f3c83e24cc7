"""Train, test, plot and save a network for handwritten digits.

    python train.py                                       the exercise: 97.5 %, 5 s
    python train.py model=dropout optim=sgd norm=exact    its improvement: 98.5 %, 17 s
    python train.py -m model=baseline,dropout seed=0,1,2  a sweep, with a leaderboard

(test accuracy and training time, means of five seeds on two cores without a GPU).

Each run is a directory in outputs/runs. What a run does, step by step, is in
src/digits/training/run.py; what can be chosen is in conf/, one folder per question.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from digits.app import one_line_errors, run_job
from digits.config.resolvers import register_resolvers
from digits.process import begin, quick_end


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    """Return the validation accuracy of the best checkpoint, which is what a search maximizes."""
    return run_job(config)


if __name__ == "__main__":
    begin()
    register_resolvers()
    with quick_end(), one_line_errors(Path(__file__).parent / "conf"):
        main()
