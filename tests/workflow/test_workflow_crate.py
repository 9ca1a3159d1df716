"""The RO-Crate of a run conforms to its profiles, and names each job and file once."""

from pathlib import Path
from typing import Any

import pytest

from helpers.crate_rules import problems
from helpers.small_run import write_job, write_run
from vertegrade.workflow.crate import CrateError, crate
from vertegrade.workflow.manifest import manifest_path, read_manifests

COPIED = ["Snakefile", "config.yaml", "workflow_scripts/convert.py", "workflow_scripts/crop.py"]


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run()


def exported(copied: list[str] = COPIED) -> dict[str, Any]:
    return crate(list(read_manifests("results")), "results", copied, "9.27.1")


def entity(exported: dict[str, Any], identifier: str) -> dict[str, Any]:
    (found,) = (entity for entity in exported["@graph"] if entity["@id"] == identifier)
    return found


def test_conforms() -> None:
    assert problems(exported()) == []


def test_a_job_has_program_files_and_times() -> None:
    action = entity(exported(), "#job/crop/shard=0")
    assert action["instrument"] == {"@id": "workflow/workflow_scripts/crop.py"}
    assert action["object"] == [{"@id": "ct/0/a_ct.txt"}]
    assert action["result"] == [{"@id": "crops/0.txt"}]
    assert action["startTime"] < action["endTime"]


def test_scans_are_named_by_their_hash_alone() -> None:
    text = str(exported())
    assert "scans/a" not in text
    assert text.count("'@type': 'CreativeWork', 'name': 'input from outside the crate'") == 2


def test_jobs_whose_wildcards_look_alike_stay_apart() -> None:
    one, other = {"a": "x-y", "b": "z"}, {"a": "x", "b": "y-z"}
    assert manifest_path("results", "crop", one) != manifest_path("results", "crop", other)
    for wildcards in (one, other):
        write_job("crop", wildcards, ["results/ct/0"], ["results/crops/0.txt"])
    assert problems(exported()) == []


def test_names_with_spaces_become_addresses() -> None:
    Path("results/crops/b c.txt").write_text("x")
    write_job("crop", {"shard": "1"}, ["results/ct/0"], ["results/crops/b c.txt"])
    assert entity(exported(), "crops/b%20c.txt")["name"] == "b c.txt"


def test_a_run_without_jobs_and_a_lost_script_are_refused() -> None:
    with pytest.raises(CrateError, match="no job has left a manifest"):
        crate([], "results", COPIED, "9")
    with pytest.raises(CrateError, match=r"no longer has workflow/workflow_scripts/crop\.py"):
        exported(COPIED[:3])


@pytest.mark.parametrize(
    ("identifier", "key", "value"),
    [
        ("./", "conformsTo", [{"@id": "https://w3id.org/ro/wfrun/process/0.5"}]),
        ("./", "license", None),
        ("./", "mentions", [{"@id": "#run"}]),
        ("./", "hasPart", [{"@id": "workflow/Snakefile"}]),
        ("#run", "instrument", {"@id": "workflow/workflow_scripts/crop.py"}),
        ("#job/crop/shard=0", "instrument", None),
        ("#job/crop/shard=0", "result", []),
        ("#job/crop/shard=0", "endTime", "2025-01-01T00:00:00"),
        ("#job/crop/shard=0", "object", [{"@id": "lost.txt"}]),
        ("crops/0.txt", "@id", "ct/0/a_ct.txt"),
        ("workflow/Snakefile", "@type", ["File", "SoftwareSourceCode"]),
    ],
)
def test_the_rules_see_what_is_wrong(identifier: str, key: str, value: Any) -> None:
    broken = exported()
    entity(broken, identifier)[key] = value
    assert problems(broken)
