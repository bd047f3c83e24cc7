"""What the screen says of a prediction: as lines for people, and as JSON for programs."""

import json

from digits.prediction.classifying import Prediction

_BAR_WIDTH = 40
_FILE_WIDTH = 48


def as_json(prediction: Prediction) -> str:
    """Returns one JSON object, of one line: the digit and its probabilities, or the error."""
    content: dict[str, object] = {"file": prediction.file}
    if prediction.error is not None:
        return json.dumps(content | {"error": prediction.error})
    digit = prediction.ranked()[0]
    return json.dumps(
        content
        | {
            "digit": digit,
            "probability": round(prediction.probabilities[digit], 6),
            "probabilities": [round(each, 6) for each in prediction.probabilities],
        }
    )


def as_error(prediction: Prediction) -> str:
    """Returns the line that says what is wrong with a file."""
    return f"error: {printable(prediction.file)}: {printable(prediction.error or '')}"


def as_line(prediction: Prediction, file_width: int) -> str:
    """Returns file, digit, probability, and the runner-up with its own."""
    first, second = prediction.ranked()[:2]
    return (
        f"{printable(prediction.file):<{file_width}}  {first}  {_percent(prediction, first)}"
        f"   then {second}  {_percent(prediction, second)}"
    )


def as_chart(prediction: Prediction) -> str:
    """Returns the digit, and a bar for each of the ten probabilities."""
    first = prediction.ranked()[0]
    lines = [f"{printable(prediction.file)}: {first}"]
    for digit, probability in enumerate(prediction.probabilities):
        bar = "█" * round(_BAR_WIDTH * probability)
        lines.append(f"  {digit}  {_percent(prediction, digit)}  {bar}".rstrip())
    return "\n".join(lines)


def file_width(files: list[str]) -> int:
    """Returns the width of the column of file names, in characters."""
    return min(_FILE_WIDTH, max((len(printable(file)) for file in files), default=0))


def printable(text: str) -> str:
    """Returns text on one line, with nothing in it that a terminal would take for a command."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _percent(prediction: Prediction, digit: int) -> str:
    return f"{prediction.probabilities[digit]:7.2%}"
