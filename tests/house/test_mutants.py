"""The list of mutants fits the code, and a mutant never reaches the working tree."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import mutants
from helpers.runs import ROOT
from mutants import FAILED, Found, Mutant, fault_of, judged, mutated, run_tests

ALL = mutants.mutants([])
AREAS = sorted({mutant.area for mutant in ALL})


@pytest.mark.parametrize("area", AREAS)
def test_each_mutant_applies_and_its_tests_are_there(area: str) -> None:
    """Where this fails after a change of the code, write the mutant for the new code, and run it."""
    of_area = [mutant for mutant in ALL if mutant.area == area]
    assert [f"{mutant.breaks}: {fault}" for mutant in of_area if (fault := fault_of(mutant))] == []
    for mutant in of_area:
        assert mutant.tests
        for test in mutant.tests:
            file, _, name = test.partition("::")
            assert (ROOT / file).is_file(), test
            assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), test


def test_a_mutant_is_in_the_copy_alone_and_only_as_long_as_it_is_tried(tmp_path: Path) -> None:
    mine, linked = tmp_path / "mine.py", tmp_path / "copy/mine.py"
    mine.write_text("a = 1\n")
    linked.parent.mkdir()
    os.link(mine, linked)
    with mutated(tmp_path / "copy", Mutant("area", "mine.py", "a", "a = 1", "a = 2", ())):
        assert (linked.read_text(), mine.read_text()) == ("a = 2\n", "a = 1\n")
    assert linked.samefile(mine)
    assert [path.name for path in linked.parent.iterdir()] == ["mine.py"]


def test_a_mutant_that_does_not_apply_is_not_tried(tmp_path: Path) -> None:
    mutant = ALL[0]
    assert fault_of(replace(mutant, old="this stands nowhere")).startswith("did not apply: the old text stands 0 times")
    assert fault_of(replace(mutant, old="import")).startswith("did not apply: the old text stands")
    assert fault_of(replace(mutant, new=mutant.old)) == "did not apply: nothing changes"
    assert judged(replace(mutant, new=mutant.old), tmp_path, 1).verdict.startswith("did not apply")


def test_tests_kill_survive_or_take_too_long(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import time\n\n\ndef test_right():\n    pass\n\n\ndef test_wrong():\n    assert 1 == 2\n\n\n"
        "def test_long():\n    time.sleep(600)\n"
    )
    limits = {"right": 120, "wrong": 120, "long": 3}
    found = {name: run_tests(tmp_path, (f"test_it.py::test_{name}",), limit) for name, limit in limits.items()}
    assert {name: result.verdict for name, result in found.items()} == {
        "right": "survived",
        "wrong": "killed",
        "long": "timed out",
    }
    assert found["wrong"].by == "test_it.py::test_wrong: assert 1 == 2"
    assert run_tests(tmp_path, ("test_nothing.py",), 120).verdict == "could not be tried"
    assert Found("survived").by == ""


def test_the_first_failure_is_read_from_what_pytest_prints() -> None:
    found = FAILED.search("1 failed\nFAILED tests/a.py::test_b[c-1] - ValueError: d\n")
    assert found
    assert found.groups() == ("tests/a.py::test_b", "ValueError: d")
