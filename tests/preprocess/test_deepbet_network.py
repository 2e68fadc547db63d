"""deepbet's network as plgg runs it says what deepbet's own says."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from plgg.data.nifti.image import read_volume
from plgg.preprocess import skull_stripping
from plgg.preprocess.brain_extraction import find_brain
from plgg.preprocess.deepbet_network import Deepbet, LinkNet, UnknownNetworkError

SPEC = importlib.util.find_spec("deepbet")
pytestmark = pytest.mark.skipif(SPEC is None, reason="deepbet is not installed")


def scripted(name="model"):
    return torch.jit.load(Path(SPEC.origin).parents[1] / "data" / "models" / f"{name}.pt").eval()


def head(shape):
    """Noise within a bright ball, as deepbet normalises it."""
    points = [torch.linspace(-1, 1, n) for n in shape]
    inside = sum(p**2 for p in torch.meshgrid(*points, indexing="ij")) < 0.6
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    image = inside * (0.5 + noise)
    return (0.226 * (image - image.mean()) / image.std() + 0.449)[None, None]


@pytest.mark.parametrize("name", ["model", "bbox_model"])
@pytest.mark.parametrize("shape", [(64, 64, 64), (32, 96, 64)])
def test_the_same_probabilities(name, shape):
    theirs = scripted(name)
    image = head(shape)
    with torch.no_grad():
        expected = theirs(image)[0, 1]
    ours = LinkNet(torch, theirs.state_dict())
    found = ours(image.clone())[0, 1]
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    # Nothing of one image is left for the next.
    torch.testing.assert_close(ours(image)[0, 1], found, atol=1e-6, rtol=0)


def test_another_network_is_left_to_deepbet(monkeypatch):
    other = torch.nn.ConvTranspose3d(8, 2, 2).state_dict()
    with pytest.raises(UnknownNetworkError):
        LinkNet(torch, other)

    class Later:
        def __init__(self, folder):
            raise UnknownNetworkError(str(folder))

    monkeypatch.setattr(skull_stripping, "Deepbet", Later)
    skull_stripping.deepbet_networks.cache_clear()
    assert type(skull_stripping.deepbet_networks()).__name__ == "BrainExtraction"
    skull_stripping.deepbet_networks.cache_clear()
    monkeypatch.undo()
    assert isinstance(skull_stripping.deepbet_networks(), Deepbet)


class Ball:
    """Stands for a network: what is bright is brain."""

    @staticmethod
    def parameters():
        return iter([torch.zeros(1)])

    def __call__(self, image):
        share = ((image - 0.3) * 5).sigmoid()
        return torch.cat([1 - share, share], dim=1)


@pytest.mark.parametrize("shape", [(70, 50, 90), (40, 40, 20)])
def test_an_image_goes_the_way_that_it_goes_in_deepbet(shape, monkeypatch):
    theirs, ours = skull_stripping.packaged_deepbet(), skull_stripping.deepbet_networks()
    for one, names in ((theirs, ("bbox_model", "model")), (ours, ("_find", "_outline"))):
        for name in names:
            monkeypatch.setattr(one, name, Ball())
    image = head(shape)[0, 0].numpy().astype(np.float32)
    image[0, 0, 0] = np.nan
    found = ours.run_model(image.copy())
    np.testing.assert_allclose(found, theirs.run_model(image.copy()), atol=1e-5)


@pytest.mark.real
@pytest.mark.slow
def test_the_same_brains_of_all_raw_heads(shared_data, monkeypatch):
    paths = sorted((shared_data / "raw-flair").glob("*.nii.gz"))
    ours = [find_brain(read_volume(path)).brain for path in paths]
    theirs = skull_stripping.packaged_deepbet()
    monkeypatch.setattr(skull_stripping, "deepbet_networks", lambda: theirs)
    for path, brain in zip(paths, ours, strict=True):
        other = find_brain(read_volume(path)).brain
        dice = 2 * np.count_nonzero(brain & other) / (brain.sum() + other.sum())
        assert dice >= 0.9995, path.name
