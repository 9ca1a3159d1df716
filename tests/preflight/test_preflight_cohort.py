"""Everything that is wrong with config, sheet and labels is told at once, with its line and what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.series import SERIES_UID, body_hu, write_series
from helpers.small_cohort import HEADER, settings_of, training_cohort, write_nifti
from vertegrade.ct.headers import series_code
from vertegrade.preflight.config import read_settings
from vertegrade.preflight.labels import check_labels
from vertegrade.preflight.sheet import check_sheet
from vertegrade.preflight.start import StartError, no_labels, scans_of, start, start_problems
from vertegrade.settings.loading import check_settings

ROOT = Path(__file__).resolve().parents[2]
GRADES = "p1,a,L1,0\np1,a,L2,2\np2,007,L1,0\np2,007,L2,1\n"


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """A folder with a sheet of two good scans (scan 007 has L1 and L2 by its centroids) and their labels."""
    write_series(tmp_path / "series", body_hu())
    write_nifti(tmp_path / "b.nii.gz")
    (tmp_path / "b_ctd.json").write_text(
        '[{"direction": ["P", "I", "R"]}, {"label": 20, "X": 1, "Y": 2, "Z": 3}, {"label": 21, "X": 1, "Y": 2, "Z": 9}]'
    )
    (tmp_path / "sheet.csv").write_text(
        "scan_id,patient_id,path,centroids,mask,series\n"
        f"a,p1,{tmp_path}/series,,,{series_code(SERIES_UID)}\n"
        f"007,p2,{tmp_path}/b.nii.gz,{tmp_path}/b_ctd.json,,\n"
    )
    (tmp_path / "labels.csv").write_text(HEADER + GRADES)
    return tmp_path


def problems_of(folder: Path, **localize: str) -> list[str]:
    settings = settings_of(folder, **localize)
    rows, problems = check_sheet(settings)
    return problems + start_problems(settings, rows.values()) + check_labels(settings, rows)[0]


def add(folder: Path, *rows: str) -> None:
    with (folder / "sheet.csv").open("a") as file:
        file.writelines(f"{row}\n" for row in rows)


def test_a_good_cohort_has_no_problem(cohort: Path) -> None:
    assert problems_of(cohort) == []


def test_every_bad_path_is_named_with_its_line(cohort: Path) -> None:
    (cohort / "loop").symlink_to(cohort / "loop")
    (cohort / "empty").mkdir()
    (cohort / "note.txt").write_text("x")
    (cohort / "bad.nii.gz").write_bytes(b"x")
    (cohort / "bad.zip").write_bytes(b"x")
    (cohort / "bad.json").write_text("{}")
    add(
        cohort,
        f"c,p3,{cohort}/nowhere,,,",
        f"d,p3,{cohort}/loop,,,",
        f"e,p3,{cohort}/empty,,,",
        f"f,p3,{cohort}/note.txt,,,",
        f"g,p3,{cohort}/bad.nii.gz,{cohort}/bad.json,{cohort}/note.txt,",
        f"h,p3,{cohort}/bad.zip,,,",
        f"i,p3,{cohort}/b.nii.gz,,,0123",
        f"j,p3,{cohort}/series,,,0123",
        "k,p_3,,,,",
    )
    sheet = f"{cohort}/sheet.csv line"
    assert [problem.replace(f"{cohort}/", "") for problem in problems_of(cohort)] == [
        problem.replace(f"{cohort}/", "")
        for problem in (
            f"{sheet} 12: patient_id 'p_3' must be letters, digits and hyphens",
            f"{sheet} 12: path is empty",
            f"{sheet} 4: path nowhere: no such file or folder; correct the path",
            f"{sheet} 5: path loop: a link that leads nowhere or in a circle; correct the path",
            f"{sheet} 6: path empty: no DICOM file of a CT series is in it; give the folder or zip of one",
            f"{sheet} 7: path note.txt: neither a folder, a zip nor a NIfTI (.nii, .nii.gz); give one of them",
            f"{sheet} 8: path bad.nii.gz: not a NIfTI in spite of its name, or damaged; copy it again",
            f"{sheet} 8: mask note.txt: not a NIfTI in spite of its name, or damaged; copy it again",
            f"{sheet} 8: centroids bad.json: not a VerSe centroid file (KeyError: 0); expected "
            '[{"direction": ["P", "I", "R"]}, {"label": 20, "X": 1.0, "Y": 2.0, "Z": 3.0}, ...]',
            f"{sheet} 9: path bad.zip: the zip cannot be opened; copy it again",
            f"{sheet} 10: series 0123: only DICOM has series; empty the cell",
            f"{sheet} 11: series 0123: no CT series of this code is in series; write the sheet again (make index)",
        )
    ]


def test_a_path_that_may_not_be_read(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = f"{cohort}/b.nii.gz"
    monkeypatch.setattr(os, "access", lambda path, mode: path != scan)  # root may read everything
    assert problems_of(cohort) == [
        f"{cohort}/sheet.csv line 3: path {scan}: may not be read by you; change its permissions"
    ]


def test_a_scan_under_two_ids(cohort: Path) -> None:
    add(cohort, f"c,p3,{cohort}/../{cohort.name}/b.nii.gz,,,")
    (problem,) = problems_of(cohort)
    assert problem.endswith("is that of line 3; keep one of the rows")


def test_provided_landmarks_that_are_not_there(cohort: Path) -> None:
    (problem,) = problems_of(cohort, method="provided")
    assert "sheet.csv line 2: neither mask nor centroids" in problem
    text = (cohort / "sheet.csv").read_text()
    (cohort / "sheet.csv").write_text(text.replace("series,,,", f"series,,{cohort}/b.nii.gz,"))
    assert problems_of(cohort, method="provided") == []  # a mask alone will do


def test_overrides_of_unknown_scans(cohort: Path) -> None:
    (cohort / "hand.csv").write_text("scan_id,vertebra\nzzz,L1\n")
    (problem,) = problems_of(cohort, overrides=str(cohort / "hand.csv"))
    assert problem.endswith("hand.csv: scan 'zzz' is not in the cohort; correct its scan_id or remove its rows")


def test_marks_of_quality_control_that_cannot_be_used_are_one_problem(cohort: Path) -> None:
    (cohort / "qc.tsv").write_text("scan_id\tmark\tnote\nzzz\tfail\t\na\tbad\t\n")
    settings = settings_of(cohort)
    marked = settings.model_copy(update={"cohort": settings.cohort.model_copy(update={"qc": f"{cohort}/qc.tsv"})})
    (problem,) = start_problems(marked, scans_of(marked))
    assert "scan 'zzz' is not in the cohort" in problem
    assert "mark 'bad' must be one of pass, doubt, fail" in problem


def test_a_key_file_that_others_may_read_or_that_is_an_output(cohort: Path) -> None:
    (cohort / "sheet.key.tsv").touch(0o644)
    (problem,) = problems_of(cohort)
    assert problem.endswith("chmod 600 it")
    (cohort / "sheet.key.tsv").chmod(0o600)
    assert problems_of(cohort) == []
    settings = settings_of(cohort)
    inside = settings.model_copy(update={"run": settings.run.model_copy(update={"results": str(cohort)})})
    (problem,) = check_sheet(inside)[1]
    assert "among the outputs; move it" in problem


LABELS = {
    "CRLF": ((HEADER + GRADES).replace("\n", "\r\n"), []),
    "BOM": ("\ufeff" + HEADER + GRADES, []),
    "semicolons": ((HEADER + GRADES).replace(",", ";"), []),
    "tabs": ((HEADER + GRADES).replace(",", "\t"), []),
    "zeros taken away": (
        HEADER + GRADES.replace("007", "7"),
        [" line 4: scan '7' is not in the sheet, '007' is: a spreadsheet took the zeros away; make the column text"],
    ),
    "a row twice": (HEADER + GRADES + "p1,a,20,0\n", [" line 6: 20 of scan 'a' is already on line 2"]),
    "an unknown grade": (
        HEADER + GRADES + "p1,a,L3,4\n",
        [" line 6: genant_grade '4' is unknown; write 0, 1, 2 or 3, or x to exclude the vertebra"],
    ),
    "an unknown level": (
        HEADER + GRADES + "p1,a,L9,1\n",
        [" line 6: vertebra 'L9' is neither a VerSe number (1-25, 28) nor a name such as T12"],
    ),
    "a level that the scan has not": (
        HEADER + GRADES + "p2,007,T4,1\n",
        [" line 6: T4 of scan '007' is graded, but {folder}/b_ctd.json has no T4"],
    ),
    "another patient": (
        HEADER + GRADES + "p9,b,L1,0\n" + "p9,a,T1,0\n",
        [" line 7: scan 'a' belongs to patient 'p1' above, to 'p9' here"],
    ),
    "another patient than in the sheet": (
        HEADER + GRADES.replace("p2", "p9"),
        [" line 4: scan '007' belongs to patient 'p9' here, to 'p2' in the sheet (line 3); correct one of them"],
    ),
    "no scan of the sheet": (
        HEADER + "p1,x,L1,0\np1,x,L2,1\n",
        [": no row belongs to a scan of the sheet; compare its scan_id with the sheet's"],
    ),
}


@pytest.mark.parametrize("case", LABELS)
def test_label_tables(case: str, cohort: Path) -> None:
    text, told = LABELS[case]
    (cohort / "labels.csv").write_bytes(text.encode())
    assert problems_of(cohort) == [f"{cohort}/labels.csv{line.format(folder=cohort)}" for line in told]


def test_neither_labels_nor_a_model(cohort: Path) -> None:  # field test B8
    settings = settings_of(cohort)
    rows = check_sheet(settings)[0].values()
    assert no_labels(settings, rows) == []
    without = settings.model_copy(update={"cohort": settings.cohort.model_copy(update={"labels": ""})})
    (problem,) = no_labels(without, rows)
    assert problem.startswith("cohort: no labels and no model: grades cannot be learned; give cohort.labels")
    assert no_labels(check_settings({}), []) == []  # phantoms know their grades


@pytest.mark.parametrize(
    ("key", "path", "told"),
    [
        ("run.results", "~/x", "run.results = ~/x: ~ is not read as your home here; write the whole path"),
        ("run.results", "/", "run.results = /: that is the root of the file system; name a folder for this run"),
        ("run.logs", "//", "run.logs = //: that is the root of the file system; name a folder for this run"),
        ("run.results", "a {1}", "run.results = a {1}: Snakemake takes { for a pattern; rename the folder, or give a"),
        ("cohort.labels", "<a>.csv", "cohort.labels = <a>.csv: Snakemake takes < for a pattern; rename the folder"),
        ("cohort.qc", "~/qc.tsv", "cohort.qc = ~/qc.tsv: ~ is not read as your home here"),
        ("localize.overrides", "a\nb", "localize.overrides = 'a\\nb': it contains a line break"),
    ],
)
def test_paths_that_would_be_taken_for_something_else(key: str, path: str, told: str) -> None:  # field test B2, B8
    section, name = key.split(".")
    problems = start_problems(check_settings({section: {name: path}}), [])
    assert problems[0].startswith(told)


def test_results_in_the_models_own_folder(tmp_path: Path) -> None:  # field test B8
    run = {"model": str(tmp_path), "results": f"{tmp_path}/../{tmp_path.name}/"}
    problems = start_problems(check_settings({"run": run}), [])
    assert "it is the model's own folder, whose grades this run would replace; name another" in problems[0]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"crop": {"slices": 3}}, "dae.model.slices is 5 but the crops have 3"),
        ({"crop": {"size": 50}}, "crops of 50 px cannot be unshuffled by 4"),
        (
            {"dae": {"model": {"attention_resolutions": [7]}}},
            "dae.model.attention_resolutions [7] px is the side of no",
        ),
        ({"dae": {"model": {"hu_low": 400.0}}}, "dae.model.hu_low (400) must be below dae.model.hu_high (400)"),
    ],
)
def test_crops_that_the_networks_cannot_take(config: dict[str, dict[str, object]], told: str) -> None:  # field test B8
    (problem,) = start_problems(check_settings(config), [])
    assert problem.startswith(f"config: {told}")


def test_scans_without_labels_are_a_note(cohort: Path) -> None:
    write_nifti(cohort / "c.nii.gz")
    add(cohort, f"c,p3,{cohort}/c.nii.gz,,,")
    settings = settings_of(cohort)
    rows, _ = check_sheet(settings)
    assert check_labels(settings, rows) == ([], ["1 of 3 scans have no label"])


def test_config_problems_do_not_hide_those_of_the_cohort(cohort: Path) -> None:
    add(cohort, "c,p3,nowhere,,,")
    (cohort / "labels.csv").write_text(HEADER + GRADES + "p1,a,L3,7\n")
    named = f"cohort: {{sheet: {cohort}/sheet.csv, labels: {cohort}/labels.csv}}\n"
    (cohort / "mine.yaml").write_text(named + "crop: {pixel_size: 1}\nrun: {seed: -1}\n")
    (cohort / "torn.yaml").write_text("run: [\n")
    run = check_cohort(cohort, "mine.yaml", "torn.yaml")
    assert run.returncode == 1, run.stdout + run.stderr
    for told in (
        "torn.yaml: cannot be read as YAML",
        "mine.yaml:2: unknown key `crop.pixel_size`; did you mean `crop.pixel_mm`?",
        "mine.yaml:3: `run.seed` is -1",
        "sheet.csv line 4: path nowhere: no such file or folder; correct the path",
        "labels.csv line 6: genant_grade '7' is unknown",
        "3 scans of 3 patients: ",
    ):
        assert told in run.stdout


def test_a_good_cohort_ends_with_status_0(tmp_path: Path) -> None:
    write_nifti(tmp_path / "b.nii.gz")
    training_cohort(tmp_path, train=3, validation=9)
    text = (tmp_path / "sheet.csv").read_text().splitlines()
    for number in range(12):  # each its own file
        shutil.copyfile(tmp_path / "b.nii.gz", tmp_path / f"b{number}.nii.gz")
        text[number + 1] = text[number + 1].replace("b.nii.gz", f"b{number}.nii.gz")
    (tmp_path / "sheet.csv").write_text("\n".join(text) + "\n")
    (tmp_path / "mine.yaml").write_text(f"cohort: {{sheet: {tmp_path}/sheet.csv, labels: {tmp_path}/labels.csv}}\n")
    run = check_cohort(tmp_path, "mine.yaml")
    assert (run.returncode, run.stdout) == (0, "12 scans of 12 patients: no problem found\n"), run.stderr


def check_cohort(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make check-cohort` runs."""
    command = [sys.executable, "-m", "vertegrade.commands", "check", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


def test_config_files_merge_as_snakemake_merges_them(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("run: {seed: 5}\ncohort: {shards: 3}\n")
    (tmp_path / "b.yaml").write_text("cohort: {shards: 4}\n")
    settings, problems = read_settings([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")])
    assert (problems, settings.run.seed, settings.cohort.shards) == ([], 5, 4)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "FileNotFoundError"),
        ("run: ä".encode("latin-1"), "UnicodeDecodeError"),
        (b"a: " + b"[" * 5000, "RecursionError"),
        (b"- 1", "keys at top level"),
    ],
    ids=["missing", "Latin-1", "too deep", "no keys"],
)
def test_config_files_that_cannot_be_read(content: bytes | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "mine.yaml").write_bytes(content)
    problem, note = read_settings([str(tmp_path / "mine.yaml")])[1]
    assert problem.startswith(f"{tmp_path}/mine.yaml: cannot be read as YAML (")
    assert told in problem
    assert note.endswith("with defaults in its place")


@pytest.mark.parametrize("cohort", ["scans.csv", "[scans.csv]", "null"])
def test_a_cohort_that_is_no_block_of_keys(cohort: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"cohort: {cohort}\n")
    problem, _ = read_settings([str(tmp_path / "mine.yaml")])[1]
    assert f"{tmp_path}/mine.yaml:1: `cohort` is" in problem


def test_tables_that_cannot_be_read_do_not_hide_each_other(cohort: Path) -> None:
    (cohort / "hand.csv").write_text("a,b\n")
    (problem,) = problems_of(cohort, overrides=f"{cohort}/hand.csv")
    assert problem.startswith(f"{cohort}/hand.csv: column 'scan_id' is missing")
    (cohort / "sheet.csv").write_text("a,b\n")
    (sheet,) = problems_of(cohort)  # and not that no label belongs to a scan of the sheet
    (cohort / "labels.csv").write_text(HEADER + "p1,a,L1,7\n")
    sheet, label = problems_of(cohort)
    assert sheet.startswith(f"{cohort}/sheet.csv: column 'scan_id' is missing")
    assert label.startswith(f"{cohort}/labels.csv line 2: genant_grade '7'")


def test_the_phantoms_need_no_sheet() -> None:
    assert check_sheet(check_settings({})) == ({}, [])


def test_two_label_tables_of_one_vertebra(cohort: Path) -> None:
    (cohort / "own.csv").write_text(HEADER + "p1,a,L1,0\n")
    text = (cohort / "sheet.csv").read_text().replace("series\n", "series,labels\n", 1)
    (cohort / "sheet.csv").write_text(text.replace("\n007", f",{cohort}/own.csv\n007"))
    assert problems_of(cohort) == ["L1 of scan 'a' is graded by two label tables"]


def test_centroids_that_cannot_be_read_are_told_once(cohort: Path) -> None:
    (cohort / "b_ctd.json").write_text("{}")
    (problem,) = problems_of(cohort)
    assert "sheet.csv line 3: centroids" in problem


def test_a_sheet_that_cannot_be_read_hides_no_other_problem(tmp_path: Path) -> None:
    config = {"cohort": {"sheet": f"{tmp_path}/none.csv"}, "run": {"model": f"{tmp_path}/nothing"}}
    with pytest.raises(StartError) as told:
        start(config, [], {}, ROOT)
    assert "none.csv: cannot be read" in str(told.value)
    assert "run.model = " in str(told.value)
