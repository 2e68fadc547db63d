"""The MONAI bundle, used as MONAI's users do: by its config, without plgg."""

import json

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out
from monai.bundle.properties import InferProperties, MetaProperties
from monai.networks.nets import SegResNet
from monai.utils import BundlePropertyConfig

from helper import write_nifti
from plgg.data.store_arrays import decode, encode
from plgg.export.bundle import Outliner, load_bundle
from plgg.export.run import export_run
from plgg.model.checkpoint import load_checkpoint
from runs import make_run

SHALLOW = ("model.blocks_down=[1,1,1]", "model.blocks_up=[1,1]")


@pytest.fixture(scope="module")
def folder(exported):
    return exported.made["monai-bundle"].path


@pytest.fixture
def parser(folder):
    found = ConfigParser()
    found.read_config(folder / "configs" / "inference.json")
    found.read_meta(folder / "configs" / "metadata.json")
    found["bundle_root"] = str(folder)
    found["device"] = "cpu"
    return found


def z_scores(shape=(24, 32, 16)):
    return torch.randn(1, 1, *shape, generator=torch.manual_seed(0))


def test_monais_own_network_gives_plggs_logits(parser, exported):
    network = parser.get_parsed_content("network")
    assert type(network) is SegResNet
    ours = exported.checkpoint.network().eval()
    with torch.inference_mode():
        expected = ours(z_scores())["segmentation"]
        torch.testing.assert_close(network(z_scores()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("setting", ["model.stem=2", "model.marker.guides_outline=true"])
def test_what_monai_has_not_is_run_by_plgg(tmp_path, setting):
    run = make_run(tmp_path / "run", *SHALLOW, setting)
    made = export_run(run, None, "monai-bundle")
    parser = ConfigParser()
    parser.read_config(made.path / "configs" / "inference.json")
    parser["bundle_root"], parser["device"] = str(made.path), "cpu"
    network = parser.get_parsed_content("network")
    assert type(network) is Outliner
    with torch.inference_mode():
        expected = load_checkpoint(run).network().eval()(z_scores())["segmentation"]
        torch.testing.assert_close(network(z_scores()), expected, rtol=1e-4, atol=1e-5)
    assert "plgg must be installed" in (made.path / "docs" / "README.md").read_text()


def test_with_plgg_the_marker_is_there_as_well(parser, exported):
    network = parser.get_parsed_content("whole_network")
    with torch.inference_mode():
        found, expected = network(z_scores()), exported.checkpoint.network().eval()(z_scores())
    assert set(found) == {"segmentation", "features", "marker"}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


def test_every_weight_comes_back(folder, exported):
    before, after = exported.checkpoint.network().state_dict(), load_bundle(folder).state_dict()
    assert set(before) == set(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


# MONAI's loader looks for a reader that nobody asked for.
@pytest.mark.filterwarnings("ignore:NvImgCodec:UserWarning")
def test_preprocessing_is_that_of_the_store(parser, tmp_path):
    """But for the rounding of the store, whose steps are 0.05."""
    rng = np.random.default_rng(0)
    brain = np.zeros((40, 48, 36), dtype=bool)
    brain[8:32, 9:40, 6:30] = True
    flair = np.where(brain, rng.uniform(50, 150, brain.shape), 0).astype(np.float32)
    path = write_nifti(tmp_path / "flair.nii.gz", flair, np.diag([-2.0, -2.0, 2.0, 1.0]))
    image = parser.get_parsed_content("preprocessing")({"image": str(path)})["image"]
    inside = flair[brain]
    score = (flair - inside.mean()) / inside.std()
    # Two voxels around the brain, then padded at the far ends to multiples of 4.
    expected = decode(encode(score, brain))[6:34, 7:42, 4:32]
    assert image.shape == (1, 28, 36, 28)
    np.testing.assert_allclose(image[0, :, :35], expected, atol=0.026)
    assert not image[0, :, 35:].any()


def test_monai_finds_all_that_a_bundle_must_have(parser):
    wanted = InferProperties | MetaProperties
    places = [found[BundlePropertyConfig.ID] for found in wanted.values() if found["required"]]
    assert len(places) > 6
    assert [place for place in places if place not in parser] == []


def test_monai_runs_it_as_the_metadata_says(folder):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(folder / "configs" / "metadata.json"),
        config_file=str(folder / "configs" / "inference.json"),
        device="cpu",
        n=2,
    )


def test_there_is_no_pickle(folder):
    names = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert names == {".json", ".safetensors", ".md"}
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    assert {"version", "monai_version", "pytorch_version", "numpy_version"} <= set(metadata)
