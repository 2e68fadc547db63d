"""Arms, grids, jobs: from what is typed to settings, and what is refused before anything runs."""

import pytest

from plgg.config import PRESETS, with_settings
from plgg.core.errors import ConfigError
from plgg.experiment.arms import resolve_arms
from plgg.experiment.grid import parse_grid, points
from plgg.experiment.options import Workers
from plgg.experiment.plan import Plan, jobs
from tiny import SMALL_SHAPE, tiny_config, tiny_store

BASE = tiny_config("seed=7")


def test_the_two_arms_differ_in_the_arm_alone():
    arms = resolve_arms(["single", "multitask"], [], BASE)
    assert [config.arm for config in arms.values()] == ["single", "multitask"]
    assert {config.model_copy(update={"arm": "single"}) for config in arms.values()} == {
        BASE.model_copy(update={"arm": "single"})
    }


def test_a_defined_arm_is_the_base_with_its_settings():
    defined = ["strong=multitask loss.marker_weight=0.7 patches.size=[16,16,16]"]
    arms = resolve_arms(["single"], defined, BASE)
    assert list(arms) == ["single", "strong"]
    assert arms["strong"].loss.marker_weight == 0.7
    assert arms["strong"].patches.size == (16, 16, 16)
    assert arms["strong"].seed == 7


def test_an_arm_may_name_tasks():
    defined = [
        "age=multitask tasks={segmentation: segmentation, age_years: {kind: regression, "
        "weight: 0.1}} optimiser.epochs=2",
        "tight=multitask tasks={segmentation:segmentation,marker:classification,grade:regression}",
    ]
    arms = resolve_arms(["single", "multitask"], defined, BASE)
    assert list(arms["age"].auxiliary) == ["age_years"]
    assert arms["age"].task_weights["age_years"] == 0.1
    assert arms["age"].optimiser.epochs == 2
    assert list(arms["tight"].auxiliary) == ["marker", "grade"]
    assert arms["single"].auxiliary == {}


def test_ready_arms_are_the_base_with_tasks_of_the_mask_or_told_the_marker():
    grade = "tasks={segmentation: segmentation, marker: classification, grade: regression}"
    base = with_settings(BASE, [grade])
    arms = resolve_arms(["single", "dense", "dense-marker", "oracle"], [], base)
    of_mask = ["signed_distance", "tumour_slice"]
    assert list(arms["dense"].auxiliary) == of_mask
    assert list(arms["dense-marker"].auxiliary) == [*of_mask, "marker", "grade"]
    assert arms["dense-marker"].task_weights["marker"] == base.loss.marker_weight
    assert arms["oracle"].model.marker_planes
    assert arms["oracle"].auxiliary == {}
    same = arms["oracle"].model.model_copy(update={"marker_planes": False})
    assert arms["oracle"].model_copy(update={"model": same}) == arms["single"]
    assert {config.seed for config in arms.values()} == {7}


def test_a_ready_arm_may_be_changed_under_another_name_and_not_redefined():
    arms = resolve_arms([], ["far=dense tasks.signed_distance.weight=1"], BASE)
    assert arms["far"].task_weights["signed_distance"] == 1
    with pytest.raises(ConfigError, match="defines no arm"):
        resolve_arms([], ["oracle=multitask loss.marker_weight=1"], BASE)


def test_no_arm_at_all_is_refused():
    with pytest.raises(ConfigError, match="no arm is named"):
        resolve_arms([], [], BASE)


def test_further_seeds_come_after_all_arms_of_a_split(tmp_path):
    store = tiny_store(tmp_path / "store", n=6, shape=SMALL_SHAPE)
    arms = resolve_arms(["single", "oracle"], [], BASE)
    plan = Plan(store, tmp_path / "out", BASE, arms, 2, "", n_seeds=2)
    made = list(jobs(plan))
    where = [job.run.relative_to(tmp_path / "out").as_posix() for job in made]
    assert where == [
        "split-0/single",
        "split-0/oracle",
        "seed-1/split-0/single",
        "seed-1/split-0/oracle",
        "split-1/single",
        "split-1/oracle",
        "seed-1/split-1/single",
        "seed-1/split-1/oracle",
    ]
    assert [job.config.seed for job in made] == [7, 7, 8, 8] * 2
    assert [job.name for job in made[:3]] == [
        "split 1, single",
        "split 1, oracle",
        "split 1, single, seed 8",
    ]
    assert list(jobs(Plan(store, tmp_path / "out", BASE, arms, 2, ""))) == [
        job for job in made if not job.seed
    ]


def test_the_weight_of_a_task_may_be_searched_in_the_arms_that_have_it():
    tasks = "tasks={segmentation: segmentation, age_years: {kind: regression, weight: 0.1}}"
    base = with_settings(BASE, [tasks])
    assert with_settings(base, ["tasks.age_years.weight=0.5"]).task_weights["age_years"] == 0.5
    grid = parse_grid(["tasks.age_years.weight=.1,0.3"])
    found = points(base, grid)
    assert [config.task_weights["age_years"] for config in found.values()] == [0.1, 0.3]
    assert list(points(with_settings(base, ["arm=single"]), grid)) == [""]
    assert list(points(BASE, grid)) == [""]
    for wrong in ("tasks.grade.weight=1", "tasks.age_years.wait=1"):
        with pytest.raises(ConfigError, match="no setting is called"):
            with_settings(base, [wrong])
    with pytest.raises(ConfigError, match="no row of a grid"):
        parse_grid(["tasks={a},{b}"])


def test_a_preset_learns_the_tasks_of_the_base_if_its_network_may():
    age = "tasks={segmentation: segmentation, age_years: regression}"
    base = with_settings(BASE, [age])
    assert list(resolve_arms(["paper"], [], base)["paper"].auxiliary) == ["age_years"]
    with pytest.raises(ConfigError, match="would be told its own answer"):
        resolve_arms([], ["told=paper model.marker.inputs=[average,clinical]"], base)


def test_an_arm_whose_column_is_not_there_is_refused_before_anything_runs(tmp_path):
    store = tiny_store(tmp_path / "store", n=6, shape=SMALL_SHAPE)
    arms = resolve_arms(
        [], ["idh=multitask tasks={segmentation: segmentation, idh: classification}"], BASE
    )
    plan = Plan(store, tmp_path / "out", BASE, arms, 1, "")
    with pytest.raises(ConfigError, match=r"no case has the column 'idh'.*there are: marker"):
        list(jobs(plan))


def test_a_preset_is_an_arm_with_the_bases_seed():
    paper = resolve_arms(["single", "paper"], [], BASE)["paper"]
    assert paper.seed == 7
    assert paper.patches == PRESETS["paper"].patches


def test_an_arm_may_be_changed_from_a_preset():
    arms = resolve_arms(["single"], ["short=best optimiser.epochs=3"], BASE)
    plain = resolve_arms(["best"], [], BASE)["best"]
    assert arms["short"].optimiser.epochs == 3
    epochs = {"optimiser": plain.optimiser}
    assert arms["short"].model_copy(update=epochs) == plain


@pytest.mark.parametrize(
    ("names", "defined", "words"),
    [
        (["singel"], [], "no arm is called 'singel'"),
        (["single", "single"], [], "named twice"),
        (["single"], ["a=multitask", "a=single"], "named twice"),
        (["single"], ["a=both"], "defines no arm"),
        (["single"], ["../a=single"], "defines no arm"),
        (["single"], ["single=multitask"], "defines no arm"),
        (["single"], ["a=single loss.nothing=1"], "no setting is called"),
        (["single"], ["a=single seed=-1"], "seed"),
    ],
)
def test_what_is_no_arm_is_refused(names, defined, words):
    with pytest.raises(ConfigError, match=words):
        resolve_arms(names, defined, BASE)


def test_rows_of_a_grid_multiply_and_brackets_hold_together():
    grid = parse_grid(["loss.marker_weight=0,.1", "patches.size=[16,16,16],[24,24,24]"])
    assert grid["patches.size"] == ("[16,16,16]", "[24,24,24]")
    found = points(BASE, grid)
    assert len(found) == 4
    assert "loss.marker_weight=0.1,patches.size=16_16_16" in found
    assert {(c.loss.marker_weight, c.patches.size[0]) for c in found.values()} == {
        (0.0, 16),
        (0.1, 16),
        (0.0, 24),
        (0.1, 24),
    }


def test_what_only_the_marker_uses_is_not_searched_without_it():
    single = BASE.model_copy(update={"arm": "single"})
    assert list(points(single, parse_grid(["loss.marker_weight=0,.1"]))) == [""]
    assert len(points(single, parse_grid(["optimiser.learning_rate=.1,.2"]))) == 2


@pytest.mark.parametrize(
    "texts",
    [
        ["loss.marker_weight"],
        ["patches.batch=1"],
        ["patches.batch=1,2", "patches.batch=3,4"],
        ["=1,2"],
        ["arm=single,multitask"],
        ["patches.batch=1,1"],
    ],
)
def test_what_is_no_grid_is_refused(texts):
    with pytest.raises(ConfigError, match=r"no row of a grid|no setting|both patches.batch=1"):
        points(BASE, parse_grid(texts))


def test_every_split_arm_and_point_is_a_job_with_a_folder_of_its_own(tmp_path):
    store = tiny_store(tmp_path / "store", n=6, shape=SMALL_SHAPE)
    arms = resolve_arms(["single", "multitask"], [], BASE)
    plan = Plan(store, tmp_path, BASE, arms, 3, "", grid=parse_grid(["loss.marker_weight=0,1,2"]))
    found = list(jobs(plan))
    assert len(found) == 3 * (1 + 3)
    assert len({job.run for job in found}) == len(found)
    assert found[0].run == tmp_path / "split-0" / "single"
    assert found[1].run == tmp_path / "split-0" / "multitask" / "loss.marker_weight=0"


def test_an_arm_for_another_spacing_is_refused(tmp_path):
    store = tiny_store(tmp_path / "store", n=6, shape=SMALL_SHAPE)
    arms = resolve_arms(["single", "paper"], [], BASE)
    with pytest.raises(ConfigError, match="the store has 4 mm voxels, the arm 'paper' wants 1 mm"):
        list(jobs(Plan(store, tmp_path, BASE, arms, 1, "")))


def test_workers_have_a_known_kind():
    with pytest.raises(ConfigError, match="Choose local or ray"):
        Workers("rya")


@pytest.mark.parametrize("name", ["con", "..", "a/b", "größer", "-x", "a" * 101, "_x", "a.b"])
def test_an_arm_is_called_as_its_folder_may_be(name):
    with pytest.raises(ConfigError, match="defines no arm"):
        resolve_arms(["single"], [f"{name}=multitask loss.marker_weight=0.5"], BASE)


def test_arms_that_differ_in_case_only_are_one_folder():
    with pytest.raises(ConfigError, match="named twice"):
        resolve_arms(["single"], ["wide=multitask", "Wide=multitask"], BASE)
