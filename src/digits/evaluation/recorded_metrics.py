"""An evaluation held against what the training itself wrote down."""

from digits.evaluation.evaluate import Evaluation
from digits.recorded import run_directory
from digits.runs import finished_metrics


def difference(evaluation: Evaluation) -> str:
    """Says whether the accuracy is the one in metrics.json.

    Of a checkpoint it need not be: metrics.json tells of the one that validation chose.
    """
    metrics = finished_metrics(run_directory(evaluation.file))
    recorded = metrics.get(f"{evaluation.part}/accuracy") if metrics else None
    if metrics and recorded is None and evaluation.part == "test":
        return "the run has left the test out: metrics.json has nothing to compare with"
    if recorded is None or evaluation.file.name != "model.pt":
        return "no metrics.json tells of this file: nothing to compare with"
    if recorded == evaluation.accuracy:
        return "the same accuracy as in metrics.json"
    return (
        f"[bold red]metrics.json says {recorded:.2%}, this is {evaluation.accuracy:.2%}[/bold red]"
        ": another machine or release of torch can round otherwise, which turns a few images at "
        "most"
    )
