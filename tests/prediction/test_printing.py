import json

from digits.prediction.classifying import Prediction
from digits.prediction.printing import as_chart, as_error, as_json, as_line, printable

GOOD = Prediction("a.png", probabilities=(0, 0.015, 0, 0, 0, 0, 0, 0.98, 0, 0.005))
BAD = Prediction("b\n.png", error="is empty")


def test_json_has_the_form_that_programs_rely_on() -> None:
    assert json.loads(as_json(GOOD)) == {
        "file": "a.png",
        "digit": 7,
        "probability": 0.98,
        "probabilities": [0, 0.015, 0, 0, 0, 0, 0, 0.98, 0, 0.005],
    }
    assert json.loads(as_json(BAD)) == {"file": "b\n.png", "error": "is empty"}


def test_everything_is_one_line_whatever_the_files_name() -> None:
    assert "\n" not in as_json(BAD) + as_error(BAD)
    assert as_error(BAD) == "error: b\\n.png: is empty"
    assert printable("\x1b[31mred\udcff") == "\\x1b[31mred\\udcff"


def test_a_line_names_the_digit_and_the_runner_up() -> None:
    assert as_line(GOOD, 8).split() == ["a.png", "7", "98.00%", "then", "1", "1.50%"]


def test_a_chart_has_ten_bars_as_long_as_the_probabilities() -> None:
    first, *bars = as_chart(GOOD).splitlines()
    assert first == "a.png: 7"
    assert [bar.count("█") for bar in bars] == [0, 1, 0, 0, 0, 0, 0, 39, 0, 0]
