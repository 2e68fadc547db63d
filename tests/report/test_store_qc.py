"""The page of a store: every case and gate on it, safe, offline, the worst first."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from make_experiment import make_store

from plgg.core.errors import StoreError
from plgg.core.files import write_json
from plgg.data.quality import Attempt, Quality, Verdict
from plgg.data.store import Store, case_folder, read_record
from plgg.data.store_records import FailedCase
from plgg.data.store_writing import write_cohort
from plgg.report.store_qc import gates_of, rows_of, write_store_qc

NASTY = "<img src=x onerror=alert(1)>&\"'"
PIXEL = bytes.fromhex("89504e470d0a1a0a")


def verdict(gate, status="good", value=0.95, message="it was measured"):
    limits = "0.90 or more"
    return Verdict(gate=gate, status=status, value=value, limits=limits, message=message)


def attempt(*, start="mass", accepted=True, reason=""):
    return Attempt(
        engine="greedy", model="affine", start=start, seconds=3.0, accepted=accepted, reason=reason
    )


def quality(*verdicts, status="good", seconds=6.0, attempts=None):
    return Quality(
        status=status,
        verdicts=verdicts,
        attempts=(attempt(),) if attempts is None else attempts,
        stripping="deepbet",
        atlas="SRI24",
        seconds={"brain": seconds - 1.5, "registration": 1.5},
    )


def judge(folder, case_id, found):
    record = read_record(folder, case_id).model_copy(update={"quality": found})
    write_json(case_folder(folder, case_id) / "case.json", record.model_dump(mode="json"))


def fail(folder, *failed):
    cohort = Store(folder).cohort.model_copy(update={"failed": failed})
    write_cohort(folder, cohort)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Four stored cases (good, good, doubtful, of an old store) and two that failed."""
    folder = make_store(tmp_path_factory.mktemp("qc"), names=["A", "B", "C", "D"]).folder
    overlap, turned = verdict("brain-overlap", value=0.9512), verdict("rotation", value=12.34)
    judge(folder, "A", quality(overlap, turned))
    judge(folder, "B", quality(overlap, verdict("rotation", value=-9.0), seconds=90.0))
    poor = verdict("brain-overlap", "doubtful", 0.87, f"Dice of 0.87 {NASTY}")
    tries = (attempt(accepted=False, reason=NASTY), attempt(start="search"))
    judge(folder, "C", quality(poor, status="doubtful", attempts=tries))
    nothing = verdict("brain-volume", "failed", None, "there is no brain")
    fail(
        folder,
        FailedCase(case_id="Y", reason=f"cannot be read {NASTY}"),
        FailedCase(
            case_id="Z-1", reason="there is no brain. Mend it.",
            quality=quality(nothing, poor, status="failed", attempts=()),
        ),
    )  # fmt: skip
    (folder / "qc").mkdir()
    for name in ("A", "C", "Z-1"):
        (folder / "qc" / f"{name}.png").write_bytes(PIXEL)
    return folder


class Seen(HTMLParser):
    """Tags, the table's cells as text, and what is loaded or linked."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.links, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] = " ".join((self.rows[-1][-1] + data).split())


@pytest.fixture(scope="module")
def page(judged):
    return write_store_qc(judged).read_text(encoding="utf-8")


def test_the_page_lies_in_the_store_and_is_the_same_each_time(judged, page):
    path = write_store_qc(judged)
    assert path == judged / "qc.html"
    assert path.read_text(encoding="utf-8") == page


def test_every_case_has_a_row_the_worst_first(page):
    header, *rows = Seen(page).rows
    assert [row[0] for row in rows] == ["Y", "Z-1", "C", "D", "A", "B"]
    assert [row[1] for row in rows] == [
        "0failed", "0failed", "1flagged", "2not judged", "3good", "3good",
    ]  # fmt: skip
    assert {len(row) for row in rows} == {len(header)}


def test_every_gate_has_a_column_and_numbers_are_plain(page):
    header, *rows = Seen(page).rows
    column = {name: [row[n] for row in rows] for n, name in enumerate(header)}
    assert column["Brain overlap"] == ["", "0.870", "0.870", "", "0.951", "0.951"]
    assert column["Rotation"] == ["", "", "", "", "12.3", "-9.0"]
    assert column["Brain volume"] == ["", "failed", "", "", "", ""]
    assert column["Attempts"] == ["", "", "2", "", "1", "1"]
    assert column["Seconds"] == ["", "6.0", "6.0", "", "6.0", "90.0"]
    assert column["Registered by"][2:5] == [
        "greedy · affine · search",
        "",
        "greedy · affine · mass",
    ]


def test_reasons_notes_and_attempts_are_told_once(page):
    _, nasty, z, c, *_ = Seen(page).rows
    assert nasty[2] == f"cannot be read {NASTY}"
    assert z[2].count("there is no brain") == 1
    assert "Mend it." in z[2]
    assert f"Brain overlap: Dice of 0.87 {NASTY} (wanted: 0.90 or more)." in z[2]
    assert f"mass, 3.0 s: not taken; {NASTY}" in c[2]
    assert "search, 3.0 s: taken" in c[2]


def test_counts_times_and_settings_stand_at_the_head(page):
    head = page.partition('id="cases"')[0]
    tiles = re.findall(r'"label">([^<]*)</div>\s*<div class="value">([^<]*)<', head)
    assert tiles == [
        ("Failed", "2"), ("Flagged", "1"), ("Not judged", "1"), ("Good", "2"),
        ("Time a case, median", "6.0 s"),
    ]  # fmt: skip
    assert "worst 1 min 30 s: B" in head
    assert "SRI24" in head
    assert "4 mm" in head
    assert "Of 6 cases, 2 failed and are not in the store; 1 is flagged: look there first" in head


def test_pictures_are_named_relatively_and_only_where_they_are(page):
    links = Seen(page).links
    assert links == [name for name in ("qc/Z-1.png", "qc/C.png", "qc/A.png") for _ in (1, 2)]
    assert page.count('loading="lazy"') == 3


def test_what_comes_from_data_is_escaped(page):
    assert NASTY not in page
    assert "<img src=x" not in page
    tags = Seen(page).tags
    assert tags.count("img") == 3
    assert tags.count("script") == 1


def test_the_page_needs_no_network_and_no_script(page):
    assert not re.search(r"https?://|@import|url\(", page)
    # Tools that need the script are hidden until it runs; no row is.
    assert '<div class="tools" hidden>' in page
    assert not re.search(r"<tr[^>]*hidden", page)


def test_a_store_from_before_the_gates_has_a_page_too(tmp_path):
    folder = make_store(tmp_path, names=["A"], failed=[("B", "no such file")]).folder
    text = write_store_qc(folder).read_text(encoding="utf-8")
    assert [row[1] for row in Seen(text).rows[1:]] == ["0failed", "2not judged"]
    assert "1 is from before there were gates" in text


def test_a_store_of_good_cases_says_so(tmp_path):
    folder = make_store(tmp_path, names=["A"]).folder
    judge(folder, "A", quality())
    text = write_store_qc(folder).read_text(encoding="utf-8")
    assert "1 case, all good" in text
    assert "Not judged" not in text


def test_an_empty_store_has_a_page(tmp_path):
    folder = make_store(tmp_path, names=["A"]).folder
    write_cohort(folder, Store(folder).cohort.model_copy(update={"cases": ()}))
    assert "No case is in this store." in write_store_qc(folder).read_text(encoding="utf-8")


def test_gates_keep_the_order_they_were_asked_in(judged):
    rows = rows_of(Store(judged))
    assert set(gates_of(rows)) == {"brain-overlap", "rotation", "brain-volume"}
    assert gates_of(row for row in rows if row.status == "good") == ("brain-overlap", "rotation")


def test_no_store_and_a_missing_record_are_named(tmp_path):
    with pytest.raises(StoreError, match="is not a store"):
        write_store_qc(tmp_path)
    folder = make_store(tmp_path / "store", names=["A"]).folder
    (case_folder(folder, "A") / "case.json").unlink()
    with pytest.raises(StoreError, match=r"case\.json"):
        write_store_qc(folder)


PROBE = """<script>
const rows = () => [...document.querySelectorAll("tbody tr")].filter((row) => !row.hidden);
const names = () => rows().map((row) => row.cells[0].textContent.trim()[0]).join("");
const buttons = [...document.querySelectorAll("th button")];
const heading = (name) => buttons.find((button) => button.textContent === name);
const told = [names()];
heading("Seconds").click(); told.push(names());
heading("Rotation").click(); told.push(names());
heading("Status").click(); heading("Status").click(); told.push(names());
document.querySelector("[data-show=good]").click(); told.push(names());
document.querySelector("[data-show='']").click();
const search = document.querySelector("input");
search.value = "DICE 0.87"; search.dispatchEvent(new Event("input")); told.push(names());
document.body.dataset.told = told.join(" ");
</script></body>"""


BROWSER = shutil.which("chromium")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to run the page in")
def test_the_table_sorts_filters_and_searches_in_a_browser(page, tmp_path):
    path = tmp_path / "qc.html"
    # The page runs no script but its own: the probe is named in its policy, as that is.
    code = PROBE.removeprefix("<script>").partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    probed = page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    path.write_text(probed.replace("</body>", PROBE), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user"]
    run = subprocess.run(
        [BROWSER, *options, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    if run.returncode:
        pytest.skip(f"Chromium does not start: {run.stderr[-200:]}")
    told = re.search(r'data-told="([^"]*)"', run.stdout)[1]
    # As it comes; by seconds; by rotation, blanks last; by status, twice; good ones; a search.
    assert told.split() == ["YZCDAB", "ZCABYD", "BAZCYD", "BADCZY", "BA", "CZ"]
