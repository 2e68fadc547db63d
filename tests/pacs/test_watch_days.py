"""How far back `plgg pacs watch` looks: an archive of decades is not predicted unasked."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from studies import make_study

from plgg.core.errors import ConfigError
from plgg.pacs.days import RECENT_DAYS, describe_days, first_day, is_recent, parse_days
from plgg.pacs.records import Series, Study, StudyQuery, study_key
from plgg.pacs.rule import DEFAULT_RULE, parse_rule
from plgg.pacs.watch import watch
from plgg.pacs.work import StudyWork
from program import one_line, plgg

RULE = parse_rule(DEFAULT_RULE)


def days_ago(number):
    """A study's date; today's is one of the last two days even if midnight comes meanwhile."""
    return f"{datetime.now(UTC).astimezone() - timedelta(days=number):%Y%m%d}"


@pytest.fixture
def work(model, tmp_path):
    """Predictions are made by nobody: only what is taken is of interest."""
    return StudyWork(tmp_path / "work", (model,), predict=lambda _job: None)


@pytest.fixture
def archive(orthanc, tmp_path):
    """Studies by the number of days that they are old; None has no date."""
    orthanc.clear()
    made = {}
    for age in (0, 10, 4000, None):
        tags = {"StudyDate": "" if age is None else days_ago(age)}
        made[age] = make_study(tmp_path / f"made-{age}", tags=tags)
        orthanc.send(*made[age].files[:2])
    return {age: study_key(study.uid) for age, study in made.items()}


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({}, {0}),
        ({"days": 1 + RECENT_DAYS}, {0}),
        ({"days": 30}, {0, 10}),
        ({"days": 20_000}, {0, 10, 4000}),
        ({"days": None}, {0, 10, 4000, None}),
    ],
    ids=["unasked", "3", "30", "20000", "all"],
)
def test_what_is_taken(archive, link, work, options, taken):
    found = watch(link, work, RULE, once=True, **options)
    assert found.done == {archive[age] for age in taken}
    assert {record.key for record in work.ledger.all()} == found.done


def test_a_server_that_does_not_look_at_the_date_gives_no_more(monkeypatch, link, work):
    """Some take a query and answer with all that they have."""
    asked = []

    class Careless:
        address = "this test"
        studies = staticmethod(lambda query: asked.append(query) or [old, undated])
        series = staticmethod(lambda _study: [Series("1.2.9", "MR", "flair", n_instances=3)])
        close = staticmethod(lambda: None)

    old, undated = Study("1.2.3", date=days_ago(400)), Study("1.2.4")
    monkeypatch.setattr("plgg.pacs.archive._opened", lambda *_: Careless())
    watch(link, work, RULE, once=True)
    assert work.ledger.all() == []
    assert asked == [StudyQuery(date=asked[0].date, modality="MR", limit=asked[0].limit)]
    assert asked[0].date.endswith("-")


def test_the_command_says_it_before_it_begins(archive, orthanc, model, tmp_path):
    """An archive with old studies alone: none is taken, and what would be is told."""
    del archive
    command = ["pacs", "watch", orthanc.url, "--work", tmp_path / "w", "--model", model, "--once"]
    rule = ["--rule", "description~spine"]
    done = plgg(*command, *rule)
    first, last = done.out.splitlines()
    assert first.startswith("studies from ")
    assert "(--days 2) that fit description~spine are predicted, not sent back" in first
    assert last.startswith("predicted: 0, failed: 0")
    assert "studies of any date" in plgg(*command, *rule, "--days", "ALL").out
    for wrong in ("0", "-1", "two", "1.5", "\u0663", "9" * 30):
        assert "no number of days" in one_line(plgg(*command, "--days", wrong, status=2))


def test_help_names_the_default():
    said = " ".join(plgg("pacs", "watch", "--help").out.split())
    assert "today and yesterday" in said
    assert "N|all" in said


def test_days():
    assert [first_day(n, date(2026, 3, 1)).isoformat() for n in (1, 2, 30)] == [
        "2026-03-01", "2026-02-28", "2026-01-31",
    ]  # fmt: skip
    assert (parse_days("2"), parse_days("100000"), parse_days("All")) == (2, 100_000, None)
    with pytest.raises(ConfigError, match="or all for every study"):
        parse_days("100001")
    assert describe_days(None) == "studies of any date"
    recent = SimpleNamespace(date=days_ago(0)), SimpleNamespace(date="99991231")
    assert all(is_recent(study, 2) for study in recent)
    for text in ("", "2026", days_ago(3), "00000000"):
        assert not is_recent(SimpleNamespace(date=text), 2)
