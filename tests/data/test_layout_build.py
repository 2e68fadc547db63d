"""What all layouts share: names, labels, and where and when a manifest is written."""

import pytest
from trees import image, labels, manifest, text

from plgg import api
from plgg.core.errors import ConfigError, ManifestError
from plgg.data.layouts.build import LAYOUTS
from plgg.data.layouts.labels import age_years
from plgg.data.manifest import read_manifest


@pytest.fixture
def data(tmp_path):
    for name in ("P001", "P002"):
        image(tmp_path / f"data/{name}_flair.nii.gz")
    return tmp_path / "data"


def test_names_that_cannot_be_folders_are_changed_and_told(tmp_path):
    for name in ("Jörg B. 01", "P 2", "東京"):
        image(tmp_path / f"data/{name}/flair.nii.gz")
    done = manifest("folder", tmp_path / "data", out=tmp_path / "m.csv", status=1)
    assert [row["patient_id"] for row in done.rows] == ["Jorg_B._01", "P_2"]
    assert "'P 2' is P_2" in done.err
    assert "東京: has no Latin letter" in done.err


def test_patients_whose_names_become_one_are_left_out(tmp_path):
    for name in ("P 1", "P+1", "P2"):
        image(tmp_path / f"data/{name}/flair.nii.gz")
    done = manifest("folder", tmp_path / "data", out=tmp_path / "m.csv", status=1)
    assert [row["patient_id"] for row in done.rows] == ["P2"]
    assert done.err.count("2 scans would be called P_1") == 2


def test_labels_are_joined_and_those_without_a_scan_are_named(data, tmp_path):
    table = text(
        tmp_path / "labels.csv",
        "Patient_ID;Genotype;Age_Years;Sex;Site",
        "p001;BRAF fusion;12,5;F;x",
        "P_777;other;n/a;M;",
        encoding="utf-8-sig",
        end="\r\n",
    )
    done = manifest("folder", data, "--labels", table, out=tmp_path / "m.csv")
    first, second = done.rows
    assert [first[k] for k in ("marker", "age_years", "sex", "site")] == [
        "BRAF fusion", "12.5", "F", "x",
    ]  # fmt: skip
    assert second["marker"] == ""
    assert "no scan is used: P_777" in done.err
    assert "Not in labels.csv: P002" in done.err


def test_labels_go_before_what_the_layout_says(tmp_path):
    root = tmp_path / "study"
    image(root / "sub-1/anat/sub-1_FLAIR.nii.gz")
    text(root / "participants.tsv", "participant_id\tage\tsex", "sub-1\t3\tF")
    table = text(tmp_path / "l.tsv", "patient_id\tage\tkind", "1\t4.5\tV600E")
    options = ("--labels", table, "--marker-column", "Kind")
    (row,) = manifest("bids", root, *options, out=tmp_path / "m.csv").rows
    assert [row[k] for k in ("age_years", "sex", "marker")] == ["4.5", "F", "V600E"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("name,age", "P001,3"), "lacks the column patient_id"),
        (("patient_id,age", "P001,3", "p-001,3", "P001,4"), "two rows for 'P001'"),
        (("patient_id,age", "P001,old"), "'old' is no age"),
        (("patient_id,Marker,marker ", "P001,a,b"), "has the column 'Marker' and 'marker' twice"),
        (("patient_id,marker", "P001,a,b"), "line 2: has 3 cells"),
        (('patient_id,"age', "P001,3"), "a quotation mark is never closed"),
    ],
)
def test_labels_that_cannot_be_trusted_are_refused(data, tmp_path, lines, words):
    table = text(tmp_path / "labels.csv", *lines)
    err = manifest("folder", data, "--labels", table, out=tmp_path / "m.csv", status=2).err
    assert words in err
    assert "labels.csv" in err


@pytest.mark.parametrize(
    ("written", "years"),
    [("12.5", 12.5), ("12,5", 12.5), ("034Y", 34), ("018M", 1.5), ("026W", 0.498), ("89+", 89)],
)
def test_ages_are_read_as_people_write_them(written, years):
    assert age_years(written) == pytest.approx(years, abs=1e-3)


@pytest.mark.parametrize("written", ["-3", "old", "900", "3-4", "1e2", "nan"])
def test_what_is_no_age_is_refused(written):
    with pytest.raises(ManifestError, match="is no age"):
        age_years(written)


def test_an_age_column_may_name_its_unit(data, tmp_path):
    table = text(tmp_path / "l.csv", "patient_id,age_days", "P001,3652.5")
    done = manifest("folder", data, "--labels", table, out=tmp_path / "m.csv")
    assert done.rows[0]["age_years"] == "10"


def test_another_manifest_is_kept_with_its_files_unless_told(tmp_path):
    name = "BraTS-PED-00001-000"
    image(tmp_path / f"d/{name}-t2f.nii.gz")
    mask = labels(tmp_path / f"d/{name}-seg.nii.gz", (0, 2))
    out = tmp_path / "m.csv"
    manifest("brats-peds", tmp_path / "d", out=out)
    manifest("brats-peds", tmp_path / "d", out=out)
    made = tmp_path / "m_files" / "BraTS-PED-00001_000_mask.nii.gz"
    before = made.read_bytes(), out.read_bytes()
    labels(mask, (0, 2, 3))
    image(tmp_path / "d/BraTS-PED-00002-000-t2f.nii.gz")
    assert "--overwrite" in manifest("brats-peds", tmp_path / "d", out=out, status=2).err
    assert (made.read_bytes(), out.read_bytes()) == before
    assert len(manifest("brats-peds", tmp_path / "d", "--overwrite", out=out).rows) == 2
    assert made.read_bytes() != before[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "m.csv", "m_files"]


def test_the_data_folder_is_not_written_to_unless_asked(data, monkeypatch):
    monkeypatch.chdir(data)
    with pytest.raises(ManifestError, match="--out"):
        api.manifest("folder", data)
    assert not (data / "manifest.csv").exists()
    api.manifest("folder", data, data / "manifest.csv")
    monkeypatch.chdir(data.parent)
    assert api.manifest("folder", data).manifest.resolve() == data.parent / "manifest.csv"


def test_paths_hold_where_the_manifests_folder_is_a_link(data, tmp_path):
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep/er")
    manifest("folder", data, out=tmp_path / "link" / "m.csv")
    assert all(case.flair.exists() for case in read_manifest(tmp_path / "deep/er/m.csv"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_without_scans_is_refused_with_what_was_looked_for(tmp_path, layout):
    (tmp_path / "d").mkdir()
    err = manifest(layout, tmp_path / "d", out=tmp_path / "m.csv", status=2).err
    assert LAYOUTS[layout].expected in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


def test_unknown_layouts_and_folders_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="kaggle-lgg"):
        api.manifest("kaggle", tmp_path)
    with pytest.raises(ManifestError, match="no such folder"):
        api.manifest("bids", tmp_path / "none")
