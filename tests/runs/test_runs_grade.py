"""A finished run is frozen, and its model grades scans."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from helpers.copies import copy_of
from helpers.runs import snakemake
from vertegrade.api import LATENTS, grade_volume, open_model
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import read_scan
from vertegrade.frozen import read_model
from vertegrade.methods import BASELINES, METHODS
from vertegrade.tables import PREDICTIONS, read_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frozen(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen model of the tiny run."""
    folder = copy_of(finished, tmp_path_factory.mktemp("freeze"))
    run = snakemake(folder, "--cores", "1", "freeze")
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    assert re.findall(r"^(?:local)?rule (\w+):", run.stdout + run.stderr, re.MULTILINE) == ["freeze"]
    return folder / "results/frozen"


def test_the_frozen_folder_tells_who_taught_it_and_what_it_is_made_of(frozen: Path) -> None:
    card = json.loads((frozen / "model_card.json").read_text())
    assert card["taught_by"] == {"scans": "phantoms", "labels": "phantoms"}
    assert card["training"]["vertebrae"] > card["training"]["fractured"] > 0
    assert card["test"].keys() == {"dae", "pca", "keypoints"}
    text = (frozen / "MODEL_CARD.md").read_text()
    assert "Research use only, not a medical device" in text
    assert "It has never learned from an image of a patient" in text
    model = read_model(str(frozen))
    assert {"convert", "localize", "crop", "encode", "grade"} - model.code.keys() == {"convert"}
    size = sum(path.stat().st_size for path in frozen.rglob("*") if path.is_file())
    assert size < 40e6


def test_a_volume_in_memory_gets_the_grades_of_the_workflow_to_the_bit(finished: Path, frozen: Path) -> None:
    model = open_model(frozen, "cpu")
    tables = {name: read_table(finished / f"results/predictions/{name}.parquet", PREDICTIONS) for name in LATENTS}
    first = tables["dae"][tables["dae"]["evaluable"]].iloc[0]
    scan = first["scan_id"]
    (dicom,) = (finished / "results/phantom").glob(f"*/dicom/{scan}")
    given = f"{dicom.parent.parent}/annotations/{scan}_seg"
    row = ScanRow(scan, first["patient_id"], "", mask=f"{given}-vert_msk.nii.gz", centroids=f"{given}-vb_ctd.json")
    converted = read_scan(dicom, model.settings.ct)
    graded = grade_volume(converted.volume, model, converted.notes.flags, converted.slice_thickness_mm, row)
    for method, table in tables.items():
        its = table[table["scan_id"] == scan].reset_index(drop=True)
        found = graded.predictions[method].assign(split=its["split"])
        pd.testing.assert_frame_equal(found, its, check_exact=True)


def test_every_method_that_a_model_may_have_makes_latents() -> None:
    assert LATENTS.keys() == METHODS.keys() - BASELINES


def test_a_run_with_a_model_has_none_to_freeze(frozen: Path, tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("scan_id,patient_id,path\na,p1,/nowhere\n")
    config: dict[str, dict[str, object]] = {
        "cohort": {"sheet": str(tmp_path / "sheet.csv")},
        "run": {"model": str(frozen)},
    }
    run = snakemake(tmp_path, "-n", "freeze", config=config)
    assert run.returncode != 0
    assert "is graded by the model" in run.stdout + run.stderr
    assert "has none of its own to freeze" in run.stdout + run.stderr
