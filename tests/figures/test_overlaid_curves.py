import io

import pytest

from digits.figures import History, draw_overlaid_curves


def history(*losses: float) -> History:
    return [
        {"epoch": float(epoch), "train/loss": 2 * loss, "val/loss": loss}
        for epoch, loss in enumerate(losses, start=1)
    ]


def test_a_line_is_the_mean_over_seeds_and_the_band_their_range() -> None:
    groups = {"one": [history(0.4, 0.2), history(0.6, 0.3)], "two": [history(0.5)]}
    (axes,) = draw_overlaid_curves(groups).axes
    train, val, *_ = axes.lines
    assert list(val.get_ydata()) == pytest.approx([0.5, 0.25])  # type: ignore[arg-type]
    assert list(train.get_ydata()) == pytest.approx([1.0, 0.5])  # type: ignore[arg-type]
    assert (train.get_linestyle(), val.get_linestyle()) == ("--", "-")
    (band,) = axes.collections
    (path,) = band.get_paths()
    assert path.get_extents().y0 == pytest.approx(0.2)
    assert path.get_extents().y1 == pytest.approx(0.6)


def test_an_epoch_is_drawn_if_all_runs_reached_it() -> None:
    (axes,) = draw_overlaid_curves({"early": [history(0.4, 0.2, 0.1), history(0.6, 0.3)]}).axes
    assert list(axes.lines[1].get_xdata()) == [1, 2]  # type: ignore[arg-type]


def test_each_of_many_groups_has_a_colour_of_its_own_and_a_name() -> None:
    groups = {f"group {place}": [history(0.4 + place, 0.2 + place)] for place in range(23)}
    figure = draw_overlaid_curves(groups)
    (axes,) = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(groups)
    assert len({str(line.get_color()) for line in axes.lines}) == 23
    figure.savefig(io.BytesIO())
