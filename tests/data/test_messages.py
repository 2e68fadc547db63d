"""Every finding of the check: a cohort that provokes it, and what its message claims."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dicom_series import write_series
from helper import ODD_AFFINES, SHAPE, blob_brain, make_affine, write_csv, write_nifti
from plgg.config import Label
from plgg.core.volume import Volume
from plgg.data.check import case as one_case
from plgg.data.check.cohort import check_manifest

DOCS = Path(__file__).parents[2] / "docs" / "manifest.md"
BRAIN = blob_brain()
THIN = slice(15, 17)


class Folder:
    """Files of patients, and the manifest that names them."""

    def __init__(self, folder):
        self.folder, self.rows, self.header = folder, [], "patient_id,flair,mask,marker"
        self.labels = ()

    def image(self, name, data, affine=None):
        write_nifti(self.folder / name, data, ODD_AFFINES["ras"] if affine is None else affine)
        return name

    def row(self, patient="P1", *, flair="f.nii.gz", mask="", marker="A", more=""):
        self.rows.append(f"{patient},{flair},{mask},{marker}{more}")

    def with_flair(self, data, affine=None):
        self.row(flair=self.image("f.nii.gz", data, affine))

    def with_mask(self, data, affine=None):
        self.image("f.nii.gz", BRAIN[0].data)
        self.row(mask=self.image("m.nii.gz", data, affine))

    def labelled(self, *labels, header="patient_id,flair,mask,marker"):
        self.header = header
        self.image("f.nii.gz", BRAIN[0].data)
        self.rows += labels

    def check(self):
        manifest = write_csv(self.folder / "m.csv", self.header, *self.rows)
        return check_manifest(manifest, labels=self.labels)


def flair(change, affine=None):
    return lambda folder: folder.with_flair(change(BRAIN[0].data.copy()), affine)


def mask(change, affine=None):
    return lambda folder: folder.with_mask(change(BRAIN[1].data.copy()), affine)


def regions(change):
    """A mask that is checked for the labels of whole tumour and cyst."""

    def provoke(folder):
        folder.labels = (Label(name="tumour", values=(1, 2)), Label(name="cyst", values=(2,)))
        mask(change)(folder)

    return provoke


def patients(*labels, **options):
    return lambda folder: folder.labelled(*labels, **options)


def put(data, value, n=1):
    data.flat[:n] = value
    return data


def cut(folder):
    folder.with_flair(BRAIN[0].data)
    path = folder.folder / "f.nii.gz"
    path.write_bytes(path.read_bytes()[:300])


def dicom(folder):
    name = {"description": "T1 ax", "echo_ms": 9.0, "inversion_ms": None}
    write_series(folder.folder / "study", BRAIN[0], **name)
    folder.row(flair="study")


def nowhere(folder):
    image = nib.Nifti1Image(BRAIN[0].data, ODD_AFFINES["ras"])
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    image.header.set_zooms((4.5, 4.5, 4.5))
    nib.save(image, folder.folder / "f.nii.gz")
    folder.row()


def two_rows(*names, scans=False):
    def write(folder):
        header = "patient_id,flair,mask,marker,scan_id" if scans else folder.header
        folder.header = header
        folder.image("m.nii.gz", BRAIN[1].data)
        for number, name in enumerate(names):
            path = folder.image(f"{name}.nii.gz", blob_brain(seed=len(set(names[:number])))[0].data)
            patient = "P1" if scans else f"P{number}"
            folder.row(patient, flair=path, mask="m.nii.gz", more=f",s{number}" if scans else "")

    return write


def turned(folder):
    lps = make_affine((4.5, 4.5, 4.5), axes="LPS")
    folder.with_mask(BRAIN[1].data[::-1, ::-1].copy(), lps)


def aside(mm):
    affine = ODD_AFFINES["ras"].copy()
    affine[1, 3] += mm
    return affine


def ml(data, spacing=4.5):
    return data.sum() * spacing**3 / 1000


CODEL = [f"Q{n},f.nii.gz,,{'AB'[n % 2]}" for n in range(6)]
N_TUMOUR = int((BRAIN[1].data > 0).sum())
MOST = (BRAIN[0].data > 0) & (np.indices(SHAPE)[0] < 21)
COVERED = MOST.sum() / (BRAIN[0].data > 0).sum()
LITRE = np.linalg.norm(np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2, axis=0) < 14.5
HEAD = np.random.default_rng(0).uniform(1, 9, SHAPE).astype(np.float32)

CLAIMS = {
    "missing-file": (patients("P1,none.nii.gz,,A"), "error", r"the FLAIR .*none\.nii\.gz: no s"),
    "unreadable": (cut, "error", r"the FLAIR .*f\.nii\.gz: "),
    "not-finite": (flair(lambda d: put(d, np.nan, 3)), "error", "holds 3 voxels that are NaN"),
    "constant": (flair(lambda d: d * 0 + 7), "error", "every voxel of the FLAIR is 7"),
    "flair-is-mask": (flair(lambda d: (d > 0) * 1.0), "error", "only 1 value besides its backg"),
    "coverage": (flair(lambda d: d[:, :, THIN]), "error", "covers 9 mm in 2 slices.*60 mm in 8 sl"),
    "mask-not-binary": (mask(lambda d: d * HEAD), "error", r"fractions \(between 1\.\d+ and 8"),
    "mask-impossible": (mask(lambda _: LITRE * 1.0), "error", rf"holds {ml(LITRE):,.0f} mL.*1,000"),
    "mask-shape": (mask(lambda d: d[1:]), "error", "has shape 35×40×32, its FLAIR 36×40×32"),
    "mask-grid": (mask(lambda d: d, aside(7.0)), "error", "lies up to 7.0 mm away"),
    "check-failed": (flair(lambda d: d), "error", r"came to an end \(ZeroDivisionError\)"),
    "twin-patients": (two_rows("a", "a"), "error", r"under several patients \(P0, P1\)"),
    "mask-empty": (mask(lambda d: d * 0), "warning", "the mask is empty"),
    "mask-labels": (mask(lambda d: put(d * 2, 4)), "warning", "holds the labels 2, 4, and every"),
    "mask-values": (regions(lambda d: put(d, 4)), "warning", "holds 4, which no label has"),
    "geometry": (nowhere, "warning", "of the FLAIR, its header does not say how it lies"),
    "dicom-series": (dicom, "warning", "by its headers it is T1-like, not a FLAIR"),
    "mask-outside": (mask(lambda d: np.roll(d, 12, 0)), "warning", r"% of the mask lies in the FL"),
    "mask-large": (mask(lambda _: MOST * 1.0), "warning", f"covers {COVERED:.0%} of the brain"),
    "spacing": (flair(lambda d: d, make_affine((3.0, 3.0, 13.0))), "warning", "3 × 3 × 13 mm are"),
    "inverted": (flair(lambda d: -d), "warning", r"100% of the FLAIR's tissue is darker .* \(0\)"),
    "brain-volume": (flair(lambda d: d, make_affine((2.0,) * 3)), "warning",
                     f"a brain of {ml(BRAIN[0].data > 0, 2.0):.0f} mL"),
    "twin-scans": (two_rows("a", "a", scans=True), "warning", r"several rows .*\(P1_s0, P1_s1\)"),
    "twin-masks": (two_rows("a", "b"), "warning", r"one mask stands under .*\(P0, P1\)"),
    "marker-similar": (patients(*CODEL, *[f"R{n},f.nii.gz,,b" for n in range(3)]), "warning",
                       "classes B, b differ only in spelling"),
    "marker-placeholder": (patients(*CODEL, "R,f.nii.gz,,A?"), "warning", r"'A\?' counts as"),
    "patient-placeholder": (patients(*CODEL, "unknown,f.nii.gz,,A"), "warning", "nt 'unknown'"),
    "age-implausible": (patients("P1,f.nii.gz,120", header="patient_id,flair,age_years"),
                        "warning",
                        r"1 of 1 scans have an age over 110 years \(P1: 120\)"),
    "marker-rare": (patients(*CODEL, "R,f.nii.gz,,C"), "warning", r"class 'C' has 1 patient"),
    "marker-single": (patients("P1,f.nii.gz,,A"), "warning", "all known markers are 'A'"),
    "marker-conflict": (patients("P1,f.nii.gz,,A,x", "P1,f.nii.gz,,B,y",
                                 header="patient_id,flair,mask,marker,scan_id"), "warning",
                        r"patient 'P1' differ in marker \(A, B\)"),
    "sex-conflict": (patients("P1,f.nii.gz,F,x", "P1,f.nii.gz,M,y",
                              header="patient_id,flair,sex,scan_id"), "warning",
                     r"patient 'P1' differ in sex \(F, M\)"),
    "sex-unread": (patients("P1,f.nii.gz,2", "P2,f.nii.gz,girl", header="patient_id,flair,sex"),
                   "warning", "counts as unknown: '2'$"),
    "patient-similar": (patients("P_1,f.nii.gz,,A", "P-1,f.nii.gz,,A"), "warning", "P-1, P_1 d"),
    "column-unknown": (patients("P1,f.nii.gz,3", header="patient_id,flair,age"), "warning",
                       "column 'age' is not read; is 'age_years' meant"),
    "row-width": (patients("P1,f.nii.gz"), "warning", "line 2: fewer cells"),
    "marker-unknown": (patients("P1,f.nii.gz,,", "P2,f.nii.gz,,A"), "note", "1 of 2 scans have n"),
    "mask-unknown": (patients("P1,f.nii.gz,,A"), "note", "1 of 1 scans have no mask"),
    "placeholder": (patients("P1,f.nii.gz,n/a,A"), "note", r"as blank: 'n/a' \(1\)"),
    "not-stripped": (flair(lambda _: HEAD), "note", "raw head .only 0% of the FLAIR is background"),
    "background": (flair(lambda d: d - np.float32(3.5)), "note", "background of the FLAIR is -3.5"),
    "mask-turned": (turned, "note", "axes run LPS and its FLAIR's RAS"),
}  # fmt: skip


@pytest.mark.parametrize("code", CLAIMS)
def test_a_finding_says_what_is_so(tmp_path, monkeypatch, code):
    provoke, severity, claim = CLAIMS[code]
    folder = Folder(tmp_path)
    provoke(folder)
    if code == "check-failed":
        monkeypatch.setattr(one_case, "brain_ml", lambda _: 1 / 0)
    found = [one for one in folder.check().findings if one.code == code]
    assert severity in {one.severity for one in found}
    assert any(re.search(claim, one.message) for one in found), [one.message for one in found]
    for one in found:
        assert one.remedy.endswith(".")
        assert not one.message.endswith(".")
        assert "Traceback" not in one.message


def test_numbers_in_a_message_are_those_of_the_image(tmp_path):
    folder = Folder(tmp_path)
    rolled = np.roll(BRAIN[1].data, 12, 0)
    folder.with_mask(rolled)
    (finding,) = [one for one in folder.check().findings if one.code == "mask-outside"]
    outside = ((rolled > 0) & (BRAIN[0].data == 0)).sum() / N_TUMOUR
    assert finding.message.startswith(f"{outside:.0%} of the mask")


def test_every_finding_of_the_manual_is_tested_here_and_none_is_left_out():
    text = DOCS.read_text(encoding="utf-8").split("## What the check finds")[1]
    cells = re.findall(r"^\| ([^|]+) \|", text, flags=re.MULTILINE)
    notes = text.split("**Notes**")[1]
    described = {code for part in (*cells, notes) for code in re.findall(r"`([a-z-]+)`", part)}
    assert described - {"patient_id"} == set(CLAIMS)


def test_a_case_that_cannot_be_checked_ends_nothing(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    folder.labelled("P1,f.nii.gz,,A", "P2,f.nii.gz,,A")
    true = one_case.check_scan
    calls = iter((True, False))

    def judge(scan, sequence):
        if next(calls):
            raise RecursionError
        return true(scan, sequence)

    monkeypatch.setattr(one_case, "check_scan", judge)
    report = folder.check()
    (failed,) = [one for one in report.findings if one.severity == "error"]
    assert (failed.code, failed.case_id) == ("check-failed", "P1")
    assert [row.shape for row in report.cases] == [None, SHAPE]


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_few_slices_are_an_error_of_nifti_and_dicom_in_the_same_words(tmp_path, n):
    flair, _ = BRAIN
    few = Volume(flair.data[:, :, 14 : 14 + n].copy(), flair.affine)
    folder = Folder(tmp_path)
    folder.row("nifti", flair=folder.image("f.nii.gz", few.data))
    if n > 1:
        write_series(tmp_path / "study", few)
        folder.row("dicom", flair="study")
    found = [one for one in folder.check().findings if one.code == "coverage"]
    assert len({one.message for one in found}) == 1
    assert len(found) == (2 if n > 1 else 1)
    assert {one.severity for one in found} == {"error"}
