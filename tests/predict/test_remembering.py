"""An engine that remembers: the same answers, the network run once for each image."""

from dataclasses import replace

import numpy as np

from plgg.predict.engine import with_cache
from plgg.predict.member import load_member
from runs import make_run


def counting(engine):
    seen = []

    def run(image):
        seen.append(image.shape)
        return engine.run(image)

    return replace(engine, run=run), seen


def test_an_image_is_run_once_and_answered_alike(tmp_path):
    engine, seen = counting(load_member(make_run(tmp_path)).engine)
    kept = with_cache(engine)
    rng = np.random.default_rng(0)
    images = [
        rng.standard_normal(shape).astype(np.float32)
        for shape in [(1, 16, 16, 24), (1, 16, 24, 16)]
    ]
    first = [kept(image) for image in images]
    again = [kept(image.copy()) for image in images]
    assert seen == [image.shape for image in images]
    for image, one, other in zip(images, first, again, strict=True):
        np.testing.assert_array_equal(one.segmentation, other.segmentation)
        np.testing.assert_array_equal(one.segmentation, engine(image).segmentation)


def test_what_does_not_fit_is_run_each_time(tmp_path):
    engine, seen = counting(load_member(make_run(tmp_path)).engine)
    kept = with_cache(engine, most_bytes=16 * 16 * 16 * 4)
    images = [np.full((16, 16, 16), value, dtype=np.float32) for value in (1, 2)]
    for image in (*images, *images):
        kept(image)
    assert len(seen) == 3
