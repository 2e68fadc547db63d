"""Epochs: every case, in an order and with patches that only seed and epoch decide."""

from collections import Counter

import pytest
import torch

from plgg.config import LossConfig
from plgg.core.errors import StoreError
from plgg.data.store_arrays import decode
from plgg.tasks.kinds import marker_record, restore_tasks
from plgg.train.batches import UNKNOWN, EpochBatches, Share
from tiny import CLASSES, SMALL_SHAPE, tiny_config, tiny_store

N = 7
NO_MASK, NO_MARKER = ("P02",), ("P03",)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return tiny_store(folder, n=N, shape=SMALL_SHAPE, no_mask=NO_MASK, no_marker=NO_MARKER)


def batches(store, *settings, cases=None, seed=0, workers=1, **more):
    wanted = tiny_config("patches.size=[16,16,16]", *settings).patches
    cases = cases or list(store.by_id)
    tasks = restore_tasks({"marker": marker_record(store.cohort.classes)}, LossConfig())
    return EpochBatches(store, cases, wanted, seed=seed, workers=workers, tasks=tasks, **more)


def marker_of(batch):
    """Index of the class that each patch is to name, -1 where it is unknown."""
    value, known = batch.targets["marker"]
    return torch.where(known, value, UNKNOWN).long()


def each(made, epoch):
    """The batches of an epoch, where each comes in one piece."""
    for (batch,) in made.epoch(epoch):
        yield batch


def fingerprint(made, epoch):
    return [(batch.image.clone(), batch.mask, marker_of(batch)) for batch in each(made, epoch)]


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x, y)
        for one, two in zip(a, b, strict=True)
        for x, y in zip(one, two, strict=True)
    )


def whole(store, *settings, **more):
    """Patches as large as the case and nothing changed: the patch tells the case."""
    none = "patches.augmentation."
    plain = (f"{none}flip=0", f"{none}shift=0", f"{none}scale=0", "patches.size=[24,32,24]")
    return batches(store, *plain, *settings, **more)


def seen(store, made, epoch):
    """The cases of an epoch, in its order, known by their images."""
    names = {decode(store.image(case)).tobytes(): case for case in store.by_id}
    return [
        names[image.tobytes()] for batch in each(made, epoch) for image in batch.image.numpy()[:, 0]
    ]


@pytest.mark.parametrize("per_case", [1, 2])
def test_every_case_as_often_as_asked(store, per_case):
    made = whole(store, f"patches.per_case={per_case}")
    assert Counter(seen(store, made, 1)) == dict.fromkeys(store.by_id, per_case)
    assert len(made) == -(-N * per_case // 2)
    assert len(list(made.epoch(3))) == len(made)


def scarce(tmp_path, *settings):
    """Twelve cases of which three have a mask."""
    store = tiny_store(tmp_path, n=12, shape=SMALL_SHAPE, no_mask=[f"P{k:02}" for k in range(9)])
    return store, whole(store, *settings)


def test_cases_with_a_mask_come_as_often_as_their_share_asks(tmp_path):
    store, made = scarce(tmp_path, "patches.outlined_share=0.5", "patches.batch=4")
    found = Counter(seen(store, made, 1))
    outlined = {case: n for case, n in found.items() if store.by_id[case].has_mask}
    assert set(found) == set(store.by_id)
    assert set(outlined.values()) == {3}
    assert sum(outlined.values()) == sum(found.values()) / 2
    # Every batch teaches both tasks alike.
    assert all(2 * int(batch.has_mask.sum()) == len(batch.has_mask) for batch in each(made, 1))
    assert seen(store, made, 1) != seen(store, made, 2)


def test_a_share_that_is_there_already_repeats_nothing(store):
    made = whole(store, "patches.outlined_share=0.5")
    assert Counter(seen(store, made, 1)) == dict.fromkeys(store.by_id, 1)


def test_where_no_case_has_a_mask_a_share_is_in_vain(tmp_path):
    store = tiny_store(tmp_path, n=3, shape=SMALL_SHAPE, no_mask=("P00", "P01", "P02"))
    made = whole(store, "patches.outlined_share=0.9")
    assert Counter(seen(store, made, 1)) == dict.fromkeys(store.by_id, 1)


def test_shapes_and_labels_belong_together(store):
    made = whole(store)
    names = seen(store, made, 2)
    rows = [
        (bool(has), int(marker), mask)
        for batch in each(made, 2)
        for has, marker, mask in zip(batch.has_mask, marker_of(batch), batch.mask, strict=True)
    ]
    for name, (has_mask, marker, mask) in zip(names, rows, strict=True):
        record = store.by_id[name]
        assert has_mask is record.has_mask
        expected = UNKNOWN if record.marker is None else CLASSES.index(record.marker)
        assert marker == expected
        truth = store.mask(name)
        assert int(mask.sum()) == (0 if truth is None else int(truth.sum()))
    assert any(marker == UNKNOWN for _, marker, _ in rows)
    assert not all(has_mask for has_mask, _, _ in rows)


def test_the_last_batch_may_be_smaller(store):
    sizes = [len(marker_of(batch)) for batch in each(batches(store), 1)]
    assert sizes == [2, 2, 2, 1]


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_threads_change_nothing(store, workers):
    settings = ("patches.per_case=3", "patches.tumour_share=0.5")
    one = fingerprint(batches(store, *settings), 5)
    assert same(one, fingerprint(batches(store, *settings, workers=workers), 5))


def test_order_of_the_cases_given_changes_nothing(store):
    backwards = batches(store, cases=list(reversed(store.by_id)))
    assert same(fingerprint(batches(store), 1), fingerprint(backwards, 1))


def test_epochs_and_seeds_differ_and_an_epoch_is_itself_again(store):
    made = batches(store)
    first = fingerprint(made, 1)
    second = fingerprint(made, 2)
    assert same(first, fingerprint(made, 1))
    assert not same(first, second)
    assert not same(first, fingerprint(batches(store, seed=1), 1))


def test_an_epoch_left_early_does_not_hang_or_change_the_next(store):
    made = batches(store, workers=3)
    unfinished = made.epoch(1)
    next(unfinished)
    unfinished.close()
    assert same(fingerprint(made, 1), fingerprint(batches(store), 1))


def test_a_broken_case_is_named(tmp_path):
    broken = tiny_store(tmp_path, n=3, shape=SMALL_SHAPE)
    (tmp_path / "cases" / "P01" / "image.b2nd").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"P01.*was altered.*Preprocess again"):
        list(batches(broken, workers=2).epoch(1))


def test_a_batch_on_its_device_is_channels_last_and_the_same(store):
    batch = next(each(batches(store), 1))
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.image, batch.image)
    assert moved.image.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(marker_of(moved), marker_of(batch))


def dealt(store, *, processes, pieces, **more):
    """Every piece of every batch, in the order of processes and pieces."""
    shares = [Share(rank, processes, pieces) for rank in range(processes)]
    made = [
        list(batches(store, "patches.batch=5", share=share, **more).epoch(1)) for share in shares
    ]
    return [[piece for mine in step for piece in mine] for step in zip(*made, strict=True)]


@pytest.mark.parametrize(("processes", "pieces"), [(1, 2), (2, 1), (3, 2)])
def test_the_pieces_of_all_processes_are_the_batch(store, processes, pieces):
    wanted = [step[0] for step in dealt(store, processes=1, pieces=1)]
    for whole_batch, parts in zip(
        wanted, dealt(store, processes=processes, pieces=pieces), strict=True
    ):
        assert len(parts) == processes * pieces
        assert {part.n_known["segmentation"] for part in parts} == {int(whole_batch.has_mask.sum())}
        assert {part.n_known["marker"] for part in parts} == {
            int((marker_of(whole_batch) >= 0).sum())
        }
        # A piece without a patch of its own knows nothing of the one that it is is_padding.
        real = [part for part in parts if part.has_mask.any() or (marker_of(part) >= 0).any()]
        assert sum(len(marker_of(part)) for part in real) == len(marker_of(whole_batch))
        assert torch.equal(torch.cat([part.image for part in real]), whole_batch.image)
        assert torch.equal(torch.cat([part.seeds for part in real]), whole_batch.seeds)


def test_the_marker_may_be_learnt_from_tumour_alone(store):
    """Of whole cases, all; of small patches, only those that show tumour or might."""
    alone = "patches.marker_from=tumour"
    assert same(
        fingerprint(whole(store, alone), 1), fingerprint(whole(store), 1)
    )  # every ball is in its patch
    small = ("patches.size=[8,8,8]", "patches.per_case=6")
    plain = list(each(batches(store, *small), 1))
    learnt = list(each(batches(store, *small, alone), 1))
    dropped = 0
    for before, after in zip(plain, learnt, strict=True):
        assert torch.equal(before.image, after.image)
        shown = before.mask.flatten(1).any(dim=1) | ~before.has_mask
        assert torch.equal(marker_of(after), torch.where(shown, marker_of(before), UNKNOWN))
        assert torch.equal(after.conditioning_class, marker_of(before))
        assert after.n_known["marker"] == int((marker_of(after) != UNKNOWN).sum())
        dropped += int((marker_of(before) != marker_of(after)).sum())
    assert dropped > 0


def test_the_patients_age_and_sex_come_along(tmp_path):
    store = tiny_store(tmp_path, n=4, shape=SMALL_SHAPE, ages=(3.0, None, 11.5, 70.0))
    made = whole(store)
    found = torch.cat([batch.patient for batch in each(made, 1)])
    wanted = {case: store.by_id[case].age_years for case in seen(store, made, 1)}
    for row, age in zip(found, wanted.values(), strict=True):
        assert row[1] == (age is not None)
        assert row[0] == pytest.approx((age or 0) / 10)
