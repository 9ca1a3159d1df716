"""Grades of latents of one's own: one function, one command, and one clear line for each thing that can be wrong."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from helpers.runs import ROOT
from helpers.simulated_latents import cohort
from vertegrade.files import read_json
from vertegrade.grading.calibration import Calibration, calibrate
from vertegrade.grading.hyperplane import Hyperplane, fit_hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.latents import LatentGrades, grade_latents, report_text, write_grades
from vertegrade.latents_file import LatentsError, read_latents
from vertegrade.settings.grading import GradingSettings

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """The simulated cohort as a person has it."""
    latents, labels, splits = cohort(patients=80, vertebrae=8)
    split = latents["patient_id"].map(splits.set_index("patient_id")["split"])
    return {
        "z": np.stack(latents["z"].to_list()),
        "grade": labels["genant_grade"].to_numpy(int),
        "patient": latents["patient_id"].to_numpy(str),
        "split": split.to_numpy(str),
    }


@pytest.fixture(scope="module")
def found(arrays: Arrays) -> LatentGrades:
    return grade_latents(**arrays)


def test_the_grades_are_those_of_the_workflow(found: LatentGrades) -> None:
    latents, labels, splits = cohort(patients=80, vertebrae=8)
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), 0)
    calibration = calibrate(latents, labels, splits, plane, GradingSettings(), 0)
    expected = predict(latents, plane, calibration, splits, "dae")
    for name in ("severity", "grade", "severity_low", "severity_high", "p_fracture"):
        np.testing.assert_allclose(found.table[name], expected[name], atol=1e-9)
    assert found.calibration.intervals.patients == calibration.intervals.patients


def test_rows_stay_in_order_and_figures_are_of_the_test_patients(arrays: Arrays, found: LatentGrades) -> None:
    assert found.table["patient"].tolist() == arrays["patient"].tolist()
    assert found.table["true_grade"].tolist() == arrays["grade"].tolist()
    test = found.table[arrays["split"] == "test"]
    auc = roc_auc_score(test["true_grade"] >= 1, test["severity"])
    assert found.test["vertebra"]["auc"]["value"] == pytest.approx(auc)
    assert auc > 0.85
    assert found.test["patient"]["sensitivity"]["value"] is not None


def test_grades_of_test_patients_and_unknown_ones_teach_nothing(arrays: Arrays, found: LatentGrades) -> None:
    test = arrays["split"] == "test"
    hidden = arrays | {"grade": np.where(test, np.nan, arrays["grade"])}
    again = grade_latents(**hidden)
    assert again.calibration.to_dict() == found.calibration.to_dict()
    assert again.table["severity"].equals(found.table["severity"])
    assert (again.table.loc[test, "true_grade"] == -1).all()
    assert again.test["vertebra"]["auc"]["value"] is None


def test_without_a_split_patients_are_divided_by_their_names(arrays: Arrays) -> None:
    given = {name: values for name, values in arrays.items() if name != "split"}
    order = np.random.default_rng(0).permutation(len(given["grade"]))
    one = grade_latents(**given, settings=GradingSettings(coverage=0.8))
    two = grade_latents(
        **{name: values[order] for name, values in given.items()}, settings=GradingSettings(coverage=0.8)
    )
    by_name = one.table.drop_duplicates("patient").set_index("patient")["split"]
    assert (one.table["split"] == one.table["patient"].map(by_name)).all()
    assert set(by_name) == {"train", "validation", "test"}
    assert (two.table["split"].to_numpy() == one.table["split"].to_numpy()[order]).all()


def test_two_grades_are_enough(arrays: Arrays) -> None:
    two = grade_latents(**(arrays | {"grade": np.minimum(arrays["grade"], 1)}))
    assert set(two.table["grade"]) == {0, 1}
    assert two.table["p_grade_2"].max() < 1e-12
    assert any("grades 2, 3 have fewer than 9 patients" in warning for warning in two.warnings)


def test_a_penalty_at_the_end_is_told(arrays: Arrays, found: LatentGrades, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("penalty" in warning for warning in found.warnings)
    monkeypatch.setattr("vertegrade.grading.hyperplane.C_LIMITS", (found.hyperplane.C, 1e3))
    monkeypatch.setattr("vertegrade.grading.hyperplane.C_GRID", (found.hyperplane.C, 1e3))
    warned = grade_latents(**arrays)
    assert any("is the last penalty that is ever tried" in warning for warning in warned.warnings)
    assert "**Warning:** C " in report_text(warned, "x")


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_file_becomes_a_folder(arrays: Arrays, found: LatentGrades, suffix: str, tmp_path: Path) -> None:
    path, out = tmp_path / f"latents{suffix}", tmp_path / "out"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        pd.DataFrame(arrays | {"z": list(arrays["z"])}).to_parquet(path)
    write_grades(path, out, GradingSettings(), 0)
    table = pd.read_csv(out / "grades.csv")
    np.testing.assert_allclose(table["severity"], found.table["severity"])
    calibration = Calibration.from_dict(read_json(out / "calibrator.json"))
    assert calibration.hyperplane_sha256 == Hyperplane.from_dict(read_json(out / "hyperplane.json")).sha256()
    report = (out / "report.md").read_text()
    assert "Research use only, not a medical device" in report
    assert f"Decision rule: {calibration.scale.rule}" in report
    assert "| interval_coverage_grade_1, vertebra |" in report
    with pytest.raises(LatentsError, match="there already; name another folder"):
        write_grades(path, out, GradingSettings(), 0)


WRONG = {
    "no patient": (
        lambda a: {k: v for k, v in a.items() if k != "patient"},
        "no patient; it needs z, grade and patient",
    ),
    "one dimension": (lambda a: a | {"z": a["z"][:, 0]}, r"z has the shape \(640,\) of float32; give numbers"),
    "fewer grades": (lambda a: a | {"grade": a["grade"][:-1]}, "grade has the shape .*; give one for each row"),
    "not finite": (lambda a: a | {"z": np.where(a["z"] == a["z"][3, 0], np.inf, a["z"])}, "first in row 3"),
    "grade 4": (lambda a: a | {"grade": np.where(a["grade"] == 3, 4, a["grade"])}, "grade is 4 in row .*; give 0 to 3"),
    "half a grade": (lambda a: a | {"grade": a["grade"] + 0.5}, "grade is 0.5 in row 0; give 0 to 3"),
    "grades as words": (lambda a: a | {"grade": a["grade"].astype(str)}, "grade is <U.*; give numbers"),
    "empty patient": (
        lambda a: a | {"patient": np.where(a["patient"] == "p003", "", a["patient"])},
        "row 24 has no pa",
    ),
    "other split": (lambda a: a | {"split": np.full(640, "dev")}, "split has 'dev'; give train, validation, test"),
    "torn patient": (
        lambda a: a | {"split": np.where(np.arange(640) == 0, "test", a["split"])},
        "patient p000 is in the splits test and train; give each patient one",
    ),
    "no fracture": (lambda a: a | {"grade": a["grade"] * 0}, "at least 2 patients with a vertebra of grade 1 or more"),
    "no validation": (lambda a: a | {"split": np.where(a["split"] == "validation", "test", a["split"])}, "validation"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_that_names_the_file_and_the_remedy(
    arrays: Arrays, name: str, tmp_path: Path
) -> None:
    change, message = WRONG[name]
    np.savez(tmp_path / "mine.npz", **change(arrays))
    with pytest.raises(LatentsError, match=message) as caught:
        write_grades(tmp_path / "mine.npz", tmp_path / "out", GradingSettings(), 0)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.npz'}: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be_read_are_told(arrays: Arrays, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    (tmp_path / "text.parquet").write_text("no table")
    np.savez(tmp_path / "pickled.npz", z=np.array([None, {}], dtype=object))
    ragged = pd.DataFrame({"z": [[1.0, 2.0], [1.0]], "grade": [0, 1], "patient": ["a", "b"]})
    ragged.to_parquet(tmp_path / "ragged.parquet")
    for name, message in (
        ("missing.npz", "not there; correct the path"),
        ("missing.csv", "give .npz or .parquet"),
        ("text.npz", "cannot be read"),
        ("text.parquet", "cannot be read"),
        ("pickled.npz", "without pickled objects"),
        ("ragged.parquet", "rows of z have 1 to 2 numbers; give all the same"),
    ):
        with pytest.raises(LatentsError, match=message) as caught:
            read_latents(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_the_command_grades_and_says_what_is_wrong(arrays: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "latents.npz", **arrays)
    command = [sys.executable, "-m", "vertegrade.commands", "grade-latents", "latents.npz"]
    environment = {"PYTHONPATH": str(ROOT / "workflow_scripts"), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}

    def typed(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = typed("--out", "mine")
    assert done.returncode == 0, done.stderr
    assert "640 rows graded: mine/report.md. Research use only, not a medical device." in done.stdout
    first = {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    assert set(first) == {"hyperplane.json", "calibrator.json", "grades.csv", "report.md"}
    again = typed("--out", "mine")
    assert again.returncode == 1
    assert again.stderr == "Nothing was graded: mine: there already; name another folder for what is written\n"
    wrong = typed("--out", "other", "--coverage", "1.5")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("Nothing was graded: --coverage 1.5: ")
    assert typed("--out", "second").returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "second").iterdir()} == first
