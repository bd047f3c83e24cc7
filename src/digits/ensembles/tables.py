"""The members of an ensemble beside it, as tables."""

from typing import TYPE_CHECKING, Any

from digits.page import Table

if TYPE_CHECKING:
    from digits.evaluation.evaluate import Evaluation

NO_VALIDATION = (
    "the members kept different images apart for validation: this ensemble has test figures only"
)


def member_table(evaluation: "Evaluation") -> Table:
    """The figures of each member, in the order in which they were named, and of the ensemble."""
    rows = []
    for each in (*evaluation.members, evaluation):
        low, high = each.measures.interval
        rows.append(
            (
                "the ensemble" if each is evaluation else name_of(each),
                f"{each.accuracy:.2%}",
                f"{low:.2%} to {high:.2%}",
                f"{each.loss:.4f}",
                f"{each.measures.calibration_error:.2%}",
            )
        )
    columns = ("network", "accuracy", "95% interval", "loss", "calibration error")
    return Table(columns, rows)


def member_rows(evaluation: "Evaluation") -> list[tuple[str, str]]:
    """What each member's network is."""
    rows = []
    for each in evaluation.members:
        values = each.record["arguments"] | each.record["normalization"]
        listed = ", ".join(f"{name}={value}" for name, value in values.items())
        rows.append((name_of(each), f"{each.record['model']}: {listed}"))
    return rows


def members_as_dicts(evaluation: "Evaluation") -> list[dict[str, Any]]:
    """What evaluation.json holds of each member."""
    part = evaluation.part
    return [
        {
            "name": name_of(each),
            f"{part}/accuracy": each.accuracy,
            f"{part}/loss": each.loss,
            "accuracy_95_low": each.measures.interval[0],
            "accuracy_95_high": each.measures.interval[1],
            "calibration_error": each.measures.calibration_error,
        }
        for each in evaluation.members
    ]


def name_of(member: "Evaluation") -> str:
    """What a member was called when the ensemble was made."""
    return str(member.record.get("name", "a member"))
