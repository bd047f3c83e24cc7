from collections import Counter
from pathlib import Path

import pytest
from made_up_splits import made_up_splits

from digits.exploration.classes import describe_classes
from digits.exploration.splits import read_splits


def test_each_digit_is_counted_with_its_share(tmp_path: Path) -> None:
    splits = made_up_splits()
    splits[0].labels[splits[0].labels == 4] = 7
    (table,) = describe_classes(splits, tmp_path).tables
    *digits, of_all = table.rows
    for place, split in enumerate(splits):
        counted = Counter(split.labels.tolist())
        assert [int(row[1 + 2 * place]) for row in digits] == [
            counted[digit] for digit in range(10)
        ]
        shares = [float(row[2 + 2 * place].rstrip("%")) for row in digits]
        assert shares == pytest.approx(
            [100 * counted[digit] / len(split.labels) for digit in range(10)], abs=0.005
        )
    assert [of_all[1], of_all[3], of_all[5]] == ["40", "20", "30"]


def test_the_text_names_the_most_frequent_and_the_rarest_digit(tmp_path: Path) -> None:
    splits = made_up_splits()
    splits[0].labels[splits[0].labels == 4] = 7
    text = describe_classes(splits, tmp_path).text
    assert "8 show a 7, the most frequent digit, and 0 a 4, the rarest. Who always says 7" in text
    assert "20.0%" in text


def test_a_balanced_dataset_has_no_rarest_digit(tmp_path: Path) -> None:
    _, splits = read_splits(tmp_path, "sample", 500, 0)
    assert "Each digit is shown by 350 training" in describe_classes(splits, tmp_path).text
