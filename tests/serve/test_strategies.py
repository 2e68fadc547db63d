"""Which case comes next: what teaches most by each strategy, and corrected ones never."""

import pytest

from plgg.core.errors import ConfigError
from plgg.serve.cases import Case
from plgg.serve.strategies import STRATEGIES, next_case


def case(name, certainty=None, agreement=None, strange=None, **more):
    told = {"certainty": certainty, "agreement": agreement, "out_of_distribution": strange}
    return Case(id=name, **({"state": "done", "thumbnail": ""} | told | more))


CASES = [
    case("sure", 0.9, 0.2, 5.0),
    case("unsure", 0.1, 0.5, 1.0),
    case("strange", 0.5, 0.9, 40.0),
    case("corrected", 0.0, 0.0, 99.0, edited=True),
    case("waiting", 0.0, 0.0, 99.0, state="queued"),
    case("refused", 0.0, 0.0, 99.0, state="refused"),
]


@pytest.mark.parametrize(
    ("strategy", "first", "score"),
    [
        ("entropy", "unsure", 0.9),
        ("agreement", "sure", 0.8),
        ("out-of-distribution", "strange", 40.0),
    ],
)
def test_what_teaches_most_comes_first(strategy, first, score):
    found = next_case(CASES, strategy)
    assert found.case == first
    assert found.score == pytest.approx(score)
    assert found.left == 3
    assert next_case(reversed(CASES), strategy) == found


def test_random_finds_every_case_and_no_other():
    found = {next_case(CASES, "random").case for _ in range(200)}
    assert found == {"sure", "unsure", "strange"}


@pytest.mark.parametrize("strategy", ["entropy", "agreement", "out-of-distribution"])
def test_a_case_of_which_nothing_is_known_comes_last(strategy):
    unknown = case("a")
    assert next_case([unknown, *CASES], strategy).case != "a"
    alone = next_case([unknown, case("b")], strategy)
    assert (alone.case, alone.score, alone.left) == ("a", None, 2)


def test_one_by_one_all_are_offered_and_then_none():
    cases, seen = list(CASES), []
    while (found := next_case(cases, "entropy")).case:
        seen.append(found.case)
        cases = [c.model_copy(update={"edited": c.edited or c.id == found.case}) for c in cases]
    assert seen == ["unsure", "strange", "sure"]
    assert found.left == 0


def test_what_was_skipped_comes_once_nothing_else_is_left():
    assert next_case(CASES, "entropy", but=["unsure"]).case == "strange"
    everything = [one.id for one in CASES]
    assert next_case(CASES, "entropy", but=everything).case == "unsure"


def test_there_is_no_other_strategy():
    with pytest.raises(ConfigError, match="entropy"):
        next_case(CASES, "luck")
    assert list(STRATEGIES) == ["entropy", "agreement", "out-of-distribution", "random"]


def test_the_server_asks_the_same(room):
    cases = room.get("cases").json()["cases"]
    least = min(cases, key=lambda one: one["certainty"])
    found = room.ask("POST", "next?strategy=entropy").json()
    assert found["case"] == least["id"]
    assert found["left"] == 3
    skipped = room.ask("POST", f"next?strategy=entropy&skip={least['id']}").json()
    assert skipped["case"] != least["id"]
