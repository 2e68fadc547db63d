"""What the marker's gradient does to the encoder has a limit, and all else stays as it was."""

import pytest
import torch

from plgg.core.errors import ConfigError
from plgg.data.inputs import Inputs
from plgg.data.run_folder import read_metrics
from plgg.experiment.arms import resolve_arms
from plgg.model.device import choose_runtime
from plgg.model.network import build_network
from plgg.tasks.kinds import fit_tasks
from plgg.tasks.segmentation import Segmentation
from plgg.tasks.weighting.build import make_weighting
from plgg.tasks.weighting.gradient_cap import GradientCap
from plgg.train.batches import EpochBatches, Share
from plgg.train.distributed import ProcessGroup
from plgg.train.gradients import TaskGradients
from plgg.train.run import _gradient_cap, train
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

NAMES = ["segmentation", "marker"]
# So much that the marker's gradient is the longer one.
HEAVY = ("loss.marker_weight=30", "patches.size=[16,16,16]", "patches.batch=4")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return tiny_store(folder, n=6, shape=SMALL_SHAPE, no_marker=("P01",), no_mask=("P02",))


def gradients(store, *settings, pieces=1, precision="fp32"):
    """Gradients of a second step, on the encoder and elsewhere, by name of the parameter."""
    config = tiny_config(*HEAVY, f"precision={precision}", *settings)
    tasks = fit_tasks(config, store, sorted(store.by_id))
    batches = EpochBatches(
        store,
        sorted(store.by_id),
        config.patches,
        seed=3,
        workers=1,
        share=Share(pieces=pieces),
        tasks=tasks,
        inputs=Inputs.of(config),
    )
    network = build_network(config.model, n_classes=3, arm=config.arm, seed=0, tasks=tasks).train()
    descent = TaskGradients(
        network,
        group=ProcessGroup(),
        runtime=choose_runtime(config.precision),
        tasks={"segmentation": Segmentation(config.loss), **tasks},
        weighting=make_weighting(config.loss, config.task_weights),
        cap=_gradient_cap(config, tasks),
    )
    # The branch learns from the second step on, when it knows what all patients share.
    for batch in (next(iter(batches.epoch(1))), next(iter(batches.epoch(1)))):
        network.zero_grad()
        found = descent.backward(batch)
    shared = {id(p) for p in network.encoder_parameters()}
    parts = {True: {}, False: {}}
    for name, p in network.named_parameters():
        grad = torch.zeros_like(p) if p.grad is None else p.grad
        parts[id(p) in shared][name] = grad.clone()
    return parts[True], parts[False], found


def joined(grads):
    return torch.cat([grad.flatten() for grad in grads.values()])


def assert_alike(one, other):
    for name, grad in one.items():
        torch.testing.assert_close(grad, other[name], rtol=1e-3, atol=1e-5)


# In bf16 the two gradients that are subtracted here are rounded apart, and the deepest map must not
# be two voxels thin: `train` takes fp32 there, since oneDNN's bf16 gradient of such maps reads what
# nobody wrote.
@pytest.mark.parametrize(
    ("cap", "precision", "within"),
    [(0.05, "fp32", 0.01), (0.3, "fp32", 0.01), (2.0, "fp32", 0.01), (0.3, "bf16", 0.2)],
)
def test_the_marker_pulls_at_the_encoder_no_more_than_it_may(store, cap, precision, within):
    size = "patches.size=[32,32,32]" if precision == "bf16" else "patches.size=[16,16,16]"
    alone, _, _ = gradients(store, "arm=single", size, precision=precision)
    free, heads, _ = gradients(store, size, precision=precision)
    capped, same_heads, found = gradients(
        store, f"model.marker.gradient_cap={cap}", size, precision=precision
    )
    outline = joined(alone)
    pull, limited = joined(free) - outline, joined(capped) - outline
    assert pull.norm() > 2.0 * outline.norm()
    assert limited.norm() / outline.norm() == pytest.approx(cap, rel=within)
    # Shortened, not turned; the marker's own layers learn as before.
    assert torch.cosine_similarity(pull, limited, dim=0) > 0.99
    assert_alike(heads, same_heads)
    # What is measured is what there was before the cap.
    assert 30 * found.gradients["marker"] > 2.0 * found.gradients["segmentation"]


def test_no_more_of_it_is_taken_away_than_must_be(store):
    free, heads, plain = gradients(store)
    wide, same_heads, found = gradients(store, "model.marker.gradient_cap=1000000")
    assert_alike(free, wide)
    assert_alike(heads, same_heads)
    assert found.losses == pytest.approx(plain.losses, rel=1e-6)
    assert plain.gradients is None


def test_a_cap_of_0_is_a_detached_encoder(store):
    detached, heads, _ = gradients(store, "model.marker.teaches_encoder=false")
    capped, same_heads, _ = gradients(store, "model.marker.gradient_cap=0")
    assert_alike(detached, capped)
    assert_alike(heads, same_heads)


@pytest.mark.parametrize("scheme", ["proportional", "uncertainty", "dwa"])
def test_pieces_and_adapted_weights_change_nothing_of_it(store, scheme):
    settings = ("model.marker.gradient_cap=0.3", f"loss.weighting={scheme}")
    whole, _, _ = gradients(store, *settings)
    pieces, _, _ = gradients(store, *settings, "execution.accumulate=2", pieces=2)
    assert_alike(whole, pieces)


def test_known_vectors_each_task_by_itself():
    rows = torch.tensor([[3.0, 4.0], [0.0, 10.0], [1.0, 0.0], [60.0, 80.0]])
    cap = GradientCap(0.5, {"marker", "grade"})
    found = cap.apply(rows, ["segmentation", "marker", "grade", "distance"])
    assert found.tolist() == [[3.0, 4.0], [0.0, 2.5], [1.0, 0.0], [60.0, 80.0]]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]),
        ([[3.0, 4.0], [0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]]),
        ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
    ],
)
def test_gradients_of_nothing(rows, expected):
    assert GradientCap(0.3, {"marker"}).apply(torch.tensor(rows), NAMES).tolist() == expected


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("row", [0, 1])
def test_what_is_not_finite_is_left_for_the_training_to_see(wrong, row):
    rows = torch.ones(2, 3)
    rows[row, 1] = wrong
    found = GradientCap(0.3, {"marker"}).apply(rows, NAMES)
    assert not found.isfinite().all()


@pytest.mark.parametrize("scheme", ["gradnorm", "pcgrad", "upgrad", "cagrad", "mgda"])
def test_schemes_that_balance_gradients_are_refused_in_a_line(scheme):
    with pytest.raises(ConfigError, match=r"gradient_cap.*balances them itself") as caught:
        tiny_config("model.marker.gradient_cap=0.3", f"loss.weighting={scheme}")
    assert "\n" not in str(caught.value)


def test_a_cap_on_a_detached_encoder_is_refused():
    with pytest.raises(ConfigError, match="gradient_cap needs teaches_encoder=true"):
        tiny_config("model.marker.teaches_encoder=false", "model.marker.gradient_cap=0.3")
    with pytest.raises(ConfigError):
        tiny_config("model.marker.gradient_cap=-0.1")


def test_it_makes_an_arm_of_the_preset():
    from plgg.config import preset

    capped = "capped=multitask model.marker.teaches_encoder=true model.marker.gradient_cap=0.3"
    arms = resolve_arms(["single", "multitask"], [capped], preset("best"))
    assert arms["capped"].model.marker.gradient_cap == 0.3
    assert arms["multitask"].model.marker.gradient_cap is None


def test_a_run_trains_with_it_and_tells_the_gradients_of_every_step(store, tmp_path):
    config = tiny_config(*HEAVY, "model.marker.gradient_cap=0.3", "optimiser.epochs=1",
                         "loss.gradients_every=0")  # fmt: skip
    train(store, tmp_path / "run", config, hand_split(store))
    (record,) = read_metrics(tmp_path / "run")
    assert record["gradients"]["marker"] > 0
