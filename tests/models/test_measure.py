"""Measures of a classifier, against scikit-learn and against the formulas."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics  # type: ignore[import-untyped]

from digits.models.measure import NUM_BINS, measure

GENERATOR = torch.Generator().manual_seed(7)
LABELS = torch.randint(0, 10, (700,), generator=GENERATOR)
LOGITS = torch.randn(700, 10, generator=GENERATOR)
LOGITS[torch.arange(700), LABELS] += 2.5
PREDICTIONS = LOGITS.argmax(dim=1)
MEASURES = measure(LOGITS, LABELS)


def test_rates_and_counts_are_scikit_learns() -> None:
    assert MEASURES.accuracy == sklearn_metrics.accuracy_score(LABELS, PREDICTIONS)
    assert MEASURES.interval[0] < MEASURES.accuracy < MEASURES.interval[1]
    expected = sklearn_metrics.precision_recall_fscore_support(LABELS, PREDICTIONS)
    for ours, theirs in zip(
        (MEASURES.precision, MEASURES.recall, MEASURES.f1), expected[:3], strict=True
    ):
        assert ours == pytest.approx(theirs.tolist())
    confusion = sklearn_metrics.confusion_matrix(LABELS, PREDICTIONS)
    assert np.array_equal(MEASURES.confusion, confusion)
    top2 = sklearn_metrics.top_k_accuracy_score(LABELS, LOGITS.softmax(1), k=2)
    assert MEASURES.top2_accuracy == pytest.approx(top2)


def test_the_calibration_error_is_that_of_its_definition() -> None:
    confidences = LOGITS.double().softmax(1).max(1).values.numpy()
    correct = (PREDICTIONS == LABELS).numpy()
    error = 0.0
    for low in np.arange(NUM_BINS) / NUM_BINS:
        inside = (confidences > low) & (confidences <= low + 1 / NUM_BINS)
        if inside.any():
            distance = abs(confidences[inside].mean() - correct[inside].mean())
            error += inside.mean() * distance
    assert MEASURES.calibration_error == pytest.approx(error)


def test_mistakes_are_all_wrong_ones_by_falling_confidence() -> None:
    indices = [mistake.index for mistake in MEASURES.mistakes]
    assert sorted(indices) == (PREDICTIONS != LABELS).nonzero().squeeze(1).tolist()
    confidences = [mistake.probability for mistake in MEASURES.mistakes]
    assert confidences == sorted(confidences, reverse=True)
    for mistake in MEASURES.mistakes:
        assert mistake.label == LABELS[mistake.index]
        assert mistake.predicted == PREDICTIONS[mistake.index]


def test_a_class_that_nothing_is_taken_for_has_no_precision_and_warns_of_nothing() -> None:
    measures = measure(torch.eye(10)[[0, 1, 1]], torch.tensor([0, 1, 2]))
    assert measures.precision[2] == measures.recall[2] == 0
    assert measures.confusion.sum() == 3
