"""Over a finished tiny run: a change re-runs exactly what the table says.

The jobs come from Snakemake itself, in this process; `test_dry_runs_agree` holds that against dry runs.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic.fields import FieldInfo

from helpers import rerun_modules
from helpers import rerun_table as table
from helpers.parsed import parse_once
from helpers.planned import TARGETS, rules_in
from helpers.runs import ROOT, TINY, clone, finished_tiny, snakemake
from vertegrade.settings import Settings
from vertegrade.settings.base import Section, section_kind
from vertegrade.workflow import code_hash
from vertegrade.workflow.plan import OpenWorkflow, open_workflow

TRIGGERS = ["mtime", "params", "input", "software-env"]
COLLECTING = {"all", "localization_pictures"}  # rules without a script


def keys(kind: type[Section] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in kind.model_fields.items():
        inner = section_kind(field)
        if inner:
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


FIELDS = dict(keys())
SCRIPTS = code_hash.SCRIPTS
ROOM = SCRIPTS / "vertegrade"
MODULES = [path.relative_to(ROOM).as_posix() for path in sorted(ROOM.rglob("*.py"))]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_tiny(tmp_path_factory)


@pytest.fixture(scope="module", autouse=True)
def parsed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        parse_once(patch)
        yield


@pytest.fixture
def opened(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Opens the workflow of the finished run with other settings."""
    monkeypatch.chdir(tiny)

    @contextmanager
    def opened(config: dict[str, Any] | None = None, snakefile: Path = ROOT / "Snakefile") -> Iterator[OpenWorkflow]:
        with open_workflow(config or {}, snakefile, TRIGGERS, [str(TINY)]) as workflow:
            yield workflow

    return opened


def params_of(workflow: OpenWorkflow) -> dict[str, Any]:
    wildcards = {"shard": "0", "method": "dae"}
    return {rule: workflow.params(rule, wildcards) for rule in table.ALL}


@pytest.fixture(scope="module")
def params_before(tiny: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tiny)
        with open_workflow({}, ROOT / "Snakefile", TRIGGERS, [str(TINY)]) as workflow:
            return params_of(workflow)


PLANNED: set[frozenset[str]] = set()


def check(workflow: OpenWorkflow, before: dict[str, Any], touched: set[str]) -> None:
    """Params of exactly the touched rules changed, and exactly these and what follows from them would run.

    What follows depends on the touched rules alone, so it is asked once for each set of them.
    """
    now = params_of(workflow)
    assert {rule for rule in now if now[rule] != before[rule]} == touched
    if frozenset(touched) not in PLANNED:
        expected = table.with_followers(touched)
        assert {job.rule for job in workflow.planned(TARGETS)} == expected
        PLANNED.add(frozenset(touched))


def other_value(key: str, value: Any, field: FieldInfo) -> Any:
    if key in table.VALUES:
        return table.VALUES[key]
    choices = get_args(field.annotation)
    if choices and not isinstance(value, list):
        return next(choice for choice in choices if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.99 if value else 0.01
    assert isinstance(value, str), f"{key}: give another value in tests/helpers/rerun_table.py"
    return f"{value}2"


def nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def default_of(key: str) -> Any:
    value: Any = Settings()
    for part in key.split("."):
        value = getattr(value, part)
    return value


def test_table_names_every_rule(opened: Callable[..., Any]) -> None:
    with opened() as workflow:
        assert set(workflow.rules()) - COLLECTING == table.ALL | table.ASKED_FOR


def test_nothing_runs_without_a_change(opened: Callable[..., Any]) -> None:
    with opened() as workflow:
        assert workflow.planned(TARGETS) == []


@pytest.mark.parametrize("key", [key for key in FIELDS if key not in table.OTHER_DAG])
def test_key(key: str, opened: Callable[..., Any], params_before: dict[str, Any]) -> None:
    touched = table.row_of(key, table.KEYS)
    with opened(nested(key, other_value(key, default_of(key), FIELDS[key]))) as workflow:
        check(workflow, params_before, touched)


@pytest.fixture(scope="module")
def rules_behind() -> dict[Path, set[str]]:
    """The rules that depend on each file of code."""
    found: dict[Path, set[str]] = {}
    for rule in table.ALL:
        for file in code_hash.code_files(code_hash.script_of(rule)):
            found.setdefault(file, set()).add(rule)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_module(module: str, rules_behind: dict[Path, set[str]]) -> None:
    assert rules_behind.get(ROOM / module, set()) == table.row_of(module, rerun_modules.MODULES)


@pytest.mark.parametrize("module", ["tables.py", "grading/calibration.py", "report/templates.py", "workflow/plan.py"])
def test_an_edited_module_re_runs_the_rules_that_depend_on_it(
    module: str, opened: Callable[..., Any], params_before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = table.row_of(module, rerun_modules.MODULES)
    parse = code_hash._parse
    edited = lambda file: parse(file)._replace(digest="edited") if file == ROOM / module else parse(file)  # noqa: E731
    monkeypatch.setattr(code_hash, "_parse", edited)
    with opened() as workflow:
        check(workflow, params_before, touched)


def test_each_rule_has_the_hash_of_all_code_that_it_depends_on(params_before: dict[str, Any]) -> None:
    hashes = {rule: code_hash.code_of(code_hash.script_of(rule)) for rule in table.ALL}
    assert {rule: params["code"] for rule, params in params_before.items()} == hashes


@pytest.mark.parametrize("rule", sorted(table.ALL))
def test_script(
    rule: str, opened: Callable[..., Any], params_before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = code_hash._parse
    edited = lambda file: parse(file)._replace(digest="edited") if file.stem == rule else parse(file)  # noqa: E731
    monkeypatch.setattr(code_hash, "_parse", lambda f: edited(f) if f.parent == SCRIPTS else parse(f))
    with opened() as workflow:
        check(workflow, params_before, {rule})


def test_another_package_version_re_runs_what_computes_with_it(
    opened: Callable[..., Any], params_before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(code_hash._installed(), "diffusers", "0.0.1")
    with opened() as workflow:
        check(workflow, params_before, table.DAE | {"cohort_page"})  # which names the versions


# What was learned is new, so that all shards are encoded again; who is of the training split may be other patients, and
# with these the heights that intact vertebrae have.
LEARNED = ("encode", "encode_pca", "collapse_crops", "measure")


def test_a_new_scan_re_runs_one_shard_and_what_learns_from_it(opened: Callable[..., Any]) -> None:
    with opened({"phantom": {"patients": 19}}) as workflow:
        jobs = workflow.planned()
    shards = {job.wildcards["shard"] for job in jobs if "shard" in job.wildcards and job.rule not in LEARNED}
    assert len(shards) == 1
    assert {job.rule for job in jobs if shards == {job.wildcards.get("shard")}} >= {"phantom", "convert", "crop"}
    assert {job.rule for job in jobs} == table.with_followers({"phantom"})


def test_fewer_methods_re_run_what_is_of_all_methods(opened: Callable[..., Any]) -> None:
    with opened({"methods": ["dae", "keypoints"]}) as workflow:
        planned = {job.rule for job in workflow.planned(TARGETS)}
    of_all = {"grades", "compare_methods", "figures", "summary", "cohort_page", "patient_pages"}
    assert planned == table.with_followers(of_all)


@pytest.mark.parametrize(
    ("method", "network", "others"),
    [
        ("supervised", "densenet", {"patches", "train_supcon", "score_supcon"}),
        ("supervised", "seresnet", {"train_supcon", "score_supcon"}),
        ("supcon", "densenet", {"train_supervised", "score_supervised"}),
    ],
)
def test_a_method_that_is_asked_for_runs_its_own_rules_and_no_other_is_trained(
    method: str, network: str, others: set[str], opened: Callable[..., Any]
) -> None:
    methods = ["dae", "pca", "keypoints", method]
    with opened({"methods": methods, "supervised": {"model": {"network": network}}}) as workflow:
        jobs = workflow.planned(TARGETS)
    of_all = {"compare_methods", "summary", "patient_pages"}
    expected = table.with_followers({"patches", "train_supervised", "train_supcon"} | of_all) - others
    assert {job.rule for job in jobs} == expected
    assert {job.wildcards["method"] for job in jobs if "method" in job.wildcards} == {method}


def test_seq2seq_makes_straight_spines_and_no_patches(opened: Callable[..., Any]) -> None:
    with opened({"methods": ["dae", "pca", "keypoints", "seq2seq"]}) as workflow:
        jobs = workflow.planned(TARGETS)
    expected = table.with_followers({"straight_spines", "train_seq2seq", "compare_methods", "summary", "patient_pages"})
    assert {job.rule for job in jobs} == expected
    assert {job.wildcards["method"] for job in jobs if "method" in job.wildcards} == {"seq2seq"}


def test_another_way_to_find_vertebrae_re_runs_localization_and_what_follows(opened: Callable[..., Any]) -> None:
    with opened({"localize": {"method": "learned"}}) as workflow:
        assert {job.rule for job in workflow.planned(TARGETS)} == table.with_followers({"localize", "summary"})


def test_other_shards_and_other_folder_re_run_everything(opened: Callable[..., Any]) -> None:
    everything = table.ALL
    for config in ({"cohort": {"shards": 3}}, {"run": {"results": "elsewhere"}}):
        with opened(config) as workflow:
            assert {job.rule for job in workflow.planned(TARGETS)} == everything


def test_more_repeated_scans_re_run_no_shard_without_one(opened: Callable[..., Any]) -> None:
    with opened({"phantom": {"repeat_scans": 0.0501}}) as workflow:  # no patient lies between
        assert {job.rule for job in workflow.planned(TARGETS)} == {"summary", "cohort_page"}


def test_patients_with_follow_up_re_run_no_shard_where_there_is_none(opened: Callable[..., Any]) -> None:
    with opened({"phantom": {"follow_up": 0.001}}) as workflow:  # no patient lies below
        assert {job.rule for job in workflow.planned(TARGETS)} == {"summary", "cohort_page"}


def test_other_labels_re_run_what_learns_from_labels(opened: Callable[..., Any], tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("patient_id,scan_id,vertebra,genant_grade\nph0001,ph0001-1,L1,1\n")
    with opened({"cohort": {"labels": str(labels)}}) as workflow:
        assert {job.rule for job in workflow.planned(TARGETS)} == table.with_followers({"labels", "summary"})


def test_scans_with_metastases_are_no_part_of_a_usual_run(opened: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "Spine-Mets-CT-SEG/10250").mkdir(parents=True)
    (tmp_path / "Spine-Mets-CT-SEG_Clinical.xlsx").touch()
    with opened({"metastasis": {"folder": str(tmp_path)}}) as workflow:
        assert {job.rule for job in workflow.planned(TARGETS)} == table.with_followers({"summary"})
        assert {job.rule for job in workflow.planned(("metastasis",))} == {
            "convert_metastasis", "lesion_slices", "train_bone_quality", "predict_bone_quality",
            "evaluate_bone_quality", "bone_quality_page",
        }  # fmt: skip


def test_a_corrected_scan_re_runs_its_shard(opened: Callable[..., Any], tmp_path: Path) -> None:
    overrides = tmp_path / "overrides.csv"
    overrides.write_text("scan_id,vertebra,action\nph0001-1,L1,remove\n")
    with opened({"localize": {"overrides": str(overrides)}}) as workflow:
        jobs = workflow.planned(TARGETS)
    assert {job.rule for job in jobs} == table.with_followers({"localize", "summary"})


def test_a_mark_of_quality_control_re_runs_its_scans_shard_and_pass_none(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    marks = tmp_path / "qc.tsv"
    for mark, touched in (("doubt", {"localize", "patient_pages"}), ("pass", {"patient_pages"})):
        marks.write_text(f"scan_id\tmark\tnote\nph0001-1\t{mark}\t\n")
        with opened({"cohort": {"qc": str(marks)}}) as workflow:
            jobs = workflow.planned(TARGETS)
        assert {job.rule for job in jobs} == table.with_followers({*touched, "summary"})
        assert len({job.wildcards["shard"] for job in jobs if job.rule == "localize"}) == ("localize" in touched)


def test_pdfs_are_printed_where_asked_for(opened: Callable[..., Any]) -> None:
    with opened({"report": {"pdf": True}}) as workflow:
        assert {job.rule for job in workflow.planned(TARGETS)} == {"patient_pdfs"}


def test_a_frozen_model_re_runs_the_new_scans_shard_and_its_grades(tiny: Path, tmp_path: Path) -> None:
    scans = sorted(folder for folder in (tiny / "results/phantom").glob("*/dicom/*") if folder.is_dir())[:3]
    rows = ["scan_id,patient_id,path,centroids"]
    for number, scan in enumerate(scans):
        centroids = scan.parent.parent / "annotations" / f"{scan.name}_seg-vb_ctd.json"
        rows.append(f"s{number},p{number},{scan},{centroids}")
    sheet = tmp_path / "sheet.csv"
    config: dict[str, dict[str, object]] = {
        "cohort": {"sheet": str(sheet), "shards": 2},
        "run": {"model": str(tiny / "results")},
    }
    sheet.write_text("\n".join(rows[:3]) + "\n")
    run = snakemake(tmp_path, "--cores", "1", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
    sheet.write_text("\n".join(rows) + "\n")
    text = dry_run(tmp_path, config=config)
    shard = {"convert", "localize", "localization_picture", "measure", "spine_measures", "crop", "appearance", "encode"}
    cohort = {"split", "grade", "grades", "counterfactual", "patient_pages", "patients", "flow", "outcome"}
    assert rules_in(text) == shard | cohort
    assert len(set(re.findall(r"shard=(\d)", text))) == 1


def test_clone_touch_and_comments_re_run_nothing_and_an_edit_does(tiny: Path, tmp_path: Path) -> None:
    copied = clone(tmp_path / "clone")
    assert rules_in(dry_run(tiny, "--cores", "1", *TARGETS, root=copied)) == set()
    module = copied / "workflow_scripts/vertegrade/evaluation/bootstrap.py"
    text = module.read_text(encoding="utf-8")
    module.write_text('"""Other words."""\n# why\n' + text.split('"""', 2)[2], encoding="utf-8")
    assert rules_in(dry_run(tiny, "--cores", "1", *TARGETS, root=copied)) == set()
    module.write_text(text + "\nMORE = 1\n", encoding="utf-8")
    edited = rules_in(dry_run(tiny, "--cores", "1", *TARGETS, root=copied))
    assert edited == table.with_followers(table.row_of("evaluation/bootstrap.py", rerun_modules.MODULES))


def dry_run(folder: Path, *arguments: str, **more: Any) -> str:
    run = snakemake(folder, "-n", *arguments, **more)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.mark.parametrize("key", ["grading.coverage", "report.difference_hu", "run.device", "ct.min_slices"])
def test_dry_runs_agree(key: str, tiny: Path, tmp_path: Path) -> None:
    config = nested(key, other_value(key, default_of(key), FIELDS[key]))
    text = dry_run(tiny, *TARGETS, config=config)
    assert rules_in(text) == table.with_followers(table.row_of(key, table.KEYS))
