"""Laws that every kind of task obeys: unknown targets, pieces, units, orders of classes."""

import math

import numpy as np
import pytest
import torch
from toy import Count

from plgg.config import LossConfig, with_settings
from plgg.core.errors import ConfigError, InputError
from plgg.model.network import build_network
from plgg.tasks.base import Column, TaskAnswer, TaskRecord
from plgg.tasks.classification import Classification
from plgg.tasks.kinds import KINDS, find_kind, register_kind
from plgg.tasks.regression import Regression
from tiny import tiny_config

SETTINGS = LossConfig()
TEXTS = ["1", "2", None, "2", "4", "1", None, "3"]


def fitted(kind, texts=TEXTS):
    return kind.fit("task", "column", Column(texts, texts), SETTINGS)


@pytest.fixture(params=[Classification, Regression, Count], ids=lambda kind: kind.kind)
def task(request):
    return fitted(request.param)


def output_of(task, n=8):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(n, task.n_outputs, generator=generator, requires_grad=True)


def loss_and_gradient(task, texts, output=None, **more):
    output = output_of(task, len(texts)) if output is None else output.detach().requires_grad_()
    loss = task.loss({"task": output}, task.target(texts), **more)
    loss.backward()
    return float(loss.detach()), output.grad


def test_what_is_unknown_gives_no_gradient_and_takes_no_part(task):
    output = output_of(task)
    loss, gradient = loss_and_gradient(task, TEXTS, output)
    known = [n for n, text in enumerate(TEXTS) if text is not None]
    for n in range(len(TEXTS)):
        assert bool(gradient[n].any()) is (n in known)
    alone, _ = loss_and_gradient(task, [TEXTS[n] for n in known], output[known])
    assert loss == pytest.approx(alone)


def test_a_batch_of_which_nothing_is_known_is_zero_without_gradient(task):
    loss, gradient = loss_and_gradient(task, [None, None])
    assert loss == 0.0
    assert not gradient.any()


def test_the_losses_of_pieces_add_up(task):
    output = output_of(task)
    whole, _ = loss_and_gradient(task, TEXTS, output)
    parts = [slice(0, 3), slice(3, 4), slice(4, 8)]
    pieces = [loss_and_gradient(task, TEXTS[p], output[p], n_known=6)[0] for p in parts]
    assert sum(pieces) == pytest.approx(whole)


def test_a_restored_task_is_the_same(task):
    again = type(task)("task", TaskRecord.model_validate(task.record.model_dump()), SETTINGS)
    np.testing.assert_array_equal(again.answer(np.ones(1)), task.answer(np.ones(1)))
    assert again.encode("2") == task.encode("2")
    assert again.fits(task.record)


def test_the_order_of_the_classes_changes_nothing():
    names, turned = ("a", "b", "c"), ("c", "a", "b")
    texts = ["a", "b", "c", "a", None]
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([0.5, 2.0, 1.0])
    order = [names.index(name) for name in turned]

    def task(classes, weights):
        record = TaskRecord(kind="classification", column="x", classes=classes)
        return Classification("task", record, SETTINGS, weights=weights)

    one, other = task(names, weights), task(turned, weights[order])
    assert loss_and_gradient(one, texts, logits)[0] == pytest.approx(
        loss_and_gradient(other, texts, logits[:, order])[0]
    )
    said = [one.describe(one.answer(row), ()) for row in logits.double().numpy()]
    turned_said = [other.describe(other.answer(row[order]), ()) for row in logits.double().numpy()]
    assert [a.predicted for a in said] == [b.predicted for b in turned_said]
    known = texts[:4]
    assert one.scores(said[:4], known) == pytest.approx(other.scores(turned_said[:4], known))


@pytest.mark.parametrize(("scale", "shift"), [(365.25, 0.0), (0.01, 0.0), (1.8, 32.0)])
def test_the_unit_of_a_regression_changes_neither_its_loss_nor_its_gradient(scale, shift):
    """With the same head, for its output is in the target's unit."""
    texts = ["1.5", "2", None, "7.25", "4"]
    converted = [None if text is None else repr(scale * float(text) + shift) for text in texts]
    settings = tiny_config().model
    found = []
    for column in (texts, converted):
        task = fitted(Regression, column)
        network = build_network(
            settings, n_classes=2, arm="multitask", seed=0, tasks={"task": task}
        ).eval()
        image = torch.randn(5, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
        loss = task.loss(network(image), task.target(column))
        loss.backward()
        weight = network.heads["task"].inner.classifiers["average"][-1].weight
        found.append((float(loss.detach()), weight.grad.clone()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-6)


def test_a_class_that_the_network_does_not_know_is_wrong_and_in_no_auc():
    """As where a network of one hospital is tested on another."""
    task = fitted(Classification, ["a", "b"])
    answers = [task.describe(np.array(p), ()) for p in ([0.8, 0.2], [0.4, 0.6], [0.9, 0.1])]
    found = task.scores(answers, ["a", "b", "c"])
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["brier"] == pytest.approx((2 * 0.04 + 2 * 0.16 + 0.81 + 0.01 + 1.0) / 3)
    assert (found["auc"], found["balanced_accuracy"]) == (1.0, 1.0)


def test_huber_by_hand():
    task = fitted(Regression, ["0", "2"])
    std = math.sqrt(2.0)
    output = torch.tensor([[0.5 * std], [2.0 - 3.0 * std]])
    loss, _ = loss_and_gradient(task, ["0", "2"], output)
    assert loss == pytest.approx((0.5 * 0.25 + (3.0 - 0.5)) / 2)


def test_regression_metrics_by_hand():
    task = fitted(Regression, ["0", "2"])
    answers = [TaskAnswer(value=v) for v in (1.0, 2.0, 6.0)]
    found = task.scores(answers, ["1", "3", "5"])
    assert found["mae"] == pytest.approx(2 / 3)
    assert found["rmse"] == pytest.approx(math.sqrt(2 / 3))
    assert found["r2"] == pytest.approx(1 - 2 / 8)
    assert found["r"] == pytest.approx(np.corrcoef([1, 3, 5], [1, 2, 6])[0, 1])


def test_a_conformal_interval_needs_nine_patients_and_holds_nine_of_ten():
    task = fitted(Regression, ["0", "2"])
    answers = np.arange(9.0)[:, None]
    texts = [str(n + 0.5 * n) for n in range(9)]
    patients = [f"P{n}" for n in range(9)]
    assert task.calibrate(answers, texts, patients) == {"reach": 4.0, "level": 0.9}
    assert task.calibrate(answers[:8], texts[:8], patients[:8]) is None
    assert task.calibrate(answers, texts, ["P0"] * 9) is None
    said = task.describe(
        np.array([3.0]), [{"reach": 1.0, "level": 0.9}, {"reach": 2.0, "level": 0.9}]
    )
    assert (said.low, said.high) == (1.0, 5.0)


def test_what_is_no_target_is_refused():
    with pytest.raises(ConfigError, match="fewer than two task classes"):
        fitted(Classification, ["a", "a", None])
    with pytest.raises(ConfigError, match="fewer than two different values"):
        fitted(Regression, ["1", "1.0", None])
    with pytest.raises(InputError, match="the classes are 1, 2, 3, 4"):
        fitted(Classification).encode("5")
    with pytest.raises(InputError, match="no number"):
        fitted(Regression).encode("old")
    assert fitted(Regression).encode("2,5") == 2.5


def test_kinds_are_registered_once_under_a_name():
    register_kind("count", Count)
    register_kind("count", Count)
    try:
        assert find_kind("count") is Count
        for name in ("segmentation", "regression"):
            with pytest.raises(ConfigError, match="is there"):
                register_kind(name, Count)
    finally:
        del KINDS["count"]


def test_what_is_no_kind_of_task_is_refused(tmp_path, monkeypatch):
    """Kinds of installed packages are used in tests/test_recipes.py."""
    folder = tmp_path / "no_kind-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: no-kind\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[plgg.tasks]\ncount = fractions:Fraction\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"no-kind 1\.0: fractions:Fraction is no kind of task"):
        find_kind("count")


TASKS = "tasks={segmentation: segmentation, "


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("tasks={marker: classification}", "exactly one segmentation"),
        ("tasks={a: regression, segmentation: segmentation}", "begin with segmentation"),
        (TASKS + "marker: regression}", "the classification of the column marker"),
        (TASKS + "Grade: classification}", "small letters"),
        (TASKS + "p_grade: classification}", "a meaning of its own"),
        (TASKS + "loss: classification}", "a meaning of its own"),
        (TASKS + "grade: {kind: classification, wight: 1}}", "Extra inputs"),
        (TASKS + "grade: {kind: classification, weight: -1}}", "greater than or equal to 0"),
        ("tasks=[segmentation]", "are written"),
    ],
)
def test_tasks_that_cannot_be_are_refused_in_one_line(written, fault):
    with pytest.raises(ConfigError, match=fault):
        with_settings(tiny_config(), [written])


def test_a_task_is_never_told_its_own_answer():
    clinical = 'model.marker.inputs=["tumour","clinical"]'
    for column in ("age_years", "sex"):
        task = TASKS + f"x: {{kind: classification, column: {column}}}}}"
        with pytest.raises(ConfigError, match="would be told its own answer"):
            with_settings(tiny_config(), [task, clinical])
        assert with_settings(tiny_config(), [task, clinical, "arm=single"]).auxiliary == {}


def test_weights_are_one_lambda_or_as_written():
    tasks = TASKS + "marker: classification, size: {kind: regression, weight: 0.05}}"
    config = with_settings(tiny_config(), [tasks, "loss.marker_weight=0.2"])
    assert config.task_weights == {"segmentation": 1.0, "marker": 0.2, "size": 0.05}
    assert with_settings(config, ["arm=single"]).task_weights == {"segmentation": 1.0}
