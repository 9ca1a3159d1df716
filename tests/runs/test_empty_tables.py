"""Every script on a cohort of which nothing is left: it ends well, or says in one sentence what is missing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.empty_cohort import (
    CROP,
    METHODS,
    Cohort,
    labels_of,
    no_labels,
    none_of,
    write,
    write_model,
)
from helpers.empty_page import page
from helpers.runs import ROOT
from vertegrade.cohort.labels import LabelError
from vertegrade.cohort.sheet import ScanRow
from vertegrade.drawn_tables import COUNTERFACTUALS
from vertegrade.files import read_json, write_json
from vertegrade.grading.rows import GradingError
from vertegrade.tables import (
    APPEARANCE,
    CROPS,
    CURVE_TABLE,
    GRADE_TABLE,
    LABELS,
    LANDMARKS,
    LATENTS,
    MEASUREMENTS,
    PREDICTIONS,
    SCAN_SCORES,
    SCANS,
    SPINES,
    VERTEBRA_TABLE,
    read_table,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


LABELLED = {
    "nobody": no_labels,
    "the failed scan": lambda: labels_of("a", "p"),
    "another scan of the patient": lambda: labels_of("b", "p"),
    "a stranger": lambda: labels_of("z", "zz"),
}


@pytest.fixture(params=LABELLED)
def empty(request: pytest.FixtureRequest, tmp_path: Path, model: Path) -> Cohort:
    return Cohort(tmp_path, model, LABELLED[request.param]())


@pytest.fixture
def bare(tmp_path: Path, model: Path) -> Cohort:
    return Cohort(tmp_path, model, no_labels())


def test_a_shard_without_a_scan_is_localized_measured_drawn_and_cropped(bare: Cohort) -> None:  # field test B1
    volumes, landmarks, states = str(bare.folder / "ct/0"), bare.out("landmarks.parquet"), bare.out("states.parquet")
    rows = [ScanRow("a", "p", "nowhere").plain({"scan_id", "patient_id", "path"})]
    bare.run(
        "localize",
        {
            "found_by": [str(ROOT / "models/localizer/centreline.safetensors")],
            "sight": str(ROOT / "models/localizer/sight.safetensors"),
            "volumes": volumes,
            "scans": bare.scans,
        },
        {"landmarks": landmarks, "states": states},
        params={"rows": rows, "overrides": [], "marks": {}},
        sections=["localize"],
    )
    assert read_table(states, SCANS)["reason"].tolist() == ["path_missing"]
    heights = bare.out("intact_heights.json")
    bare.run("fit_heights", {"landmarks": [landmarks], "labels": [], "splits": bare.splits}, {"heights": heights})
    assert "as 0 training patients have 3 or more vertebrae" in read_json(heights)["about"]
    measurements, latents = bare.out("measurements.parquet"), bare.out("latents.parquet")
    bare.run(
        "measure",
        {"landmarks": landmarks, "heights": heights},
        {"measurements": measurements, "latents": latents},
        params={"points_from": "networks"},
    )
    pixels, frames, crops = bare.out("crops.npy"), bare.out("frames.npy"), bare.out("crops.parquet")
    bare.run(
        "crop",
        {"volumes": volumes, "scans": states, "landmarks": landmarks},
        {"pixels": pixels, "frames": frames, "crops": crops},
        sections=["crop"],
    )
    views = {"pictures": bare.out("pictures"), "spines": bare.out("spines"), "places": bare.out("places.parquet")}
    window = ["report.window_centre_hu", "report.window_width_hu"]
    bare.run("localization_picture", {"volumes": volumes, "landmarks": landmarks}, views, sections=window)
    assert np.load(pixels).shape == (0, *CROP)
    for path, schema in ((measurements, MEASUREMENTS), (latents, LATENTS), (crops, CROPS), (views["places"], SPINES)):
        assert read_table(path, schema).empty


def test_a_patient_of_whom_nothing_is_left_has_a_record_and_an_export_that_says_why(bare: Cohort) -> None:
    bodies, curves = bare.out("bodies.parquet"), bare.out("curves.parquet")
    bare.run(
        "spine_measures",
        {"volumes": str(bare.folder / "ct/0"), "landmarks": bare.landmarks},
        {"bodies": bodies, "curves": curves},
    )
    made = {"patients": bare.out("patients"), "vertebrae": bare.out("vertebrae.csv"), "curves": bare.out("curves.csv")}
    bare.run(
        "patients",
        {
            "scans": [bare.states],
            "landmarks": [bare.landmarks],
            "measurements": [bare.measurements],
            "bodies": [bodies],
            "curves": [curves],
            "predictions": [bare.predictions(method) for method in METHODS],
            "grades": bare.grades,
        },
        made | {"description": bare.out("dataset_description.json")},
        params={"about": {"phantoms": False, "model": False}},
    )
    (scan,) = read_json(Path(made["patients"], "p.json"))["scans"]
    assert (scan["scan_id"], scan["state"], scan["vertebrae"]) == ("a", "failed", [])
    assert read_table(made["vertebrae"], VERTEBRA_TABLE).empty
    assert read_table(made["curves"], CURVE_TABLE).empty


def test_a_shard_of_whose_scans_no_virtual_one_is_made(bare: Cohort) -> None:
    """Scans that have labels of their own get none where virtual fractures teach."""
    measurements = write(bare.folder / "measurements/0.parquet", none_of(MEASUREMENTS), MEASUREMENTS)
    volumes, scans, truth = bare.out("volumes"), bare.out("scans.parquet"), bare.out("truth.parquet")
    inputs = {"volumes": str(bare.folder / "ct/0"), "scans": bare.states, "landmarks": bare.landmarks}
    bare.run(
        "virtual_fractures",
        inputs | {"measurements": measurements, "splits": []},
        {"volumes": volumes, "scans": scans, "truth": truth},
        params={"rows": []},
    )
    landmarks, states, labels = (bare.out(f"{name}.parquet") for name in ("landmarks", "states", "labels"))
    networks = {name: str(ROOT / f"models/localizer/{name}.safetensors") for name in ("centreline", "sight")}
    bare.run(
        "localize",
        {"found_by": [networks["centreline"]], "sight": networks["sight"], "volumes": volumes, "scans": scans},
        {"landmarks": landmarks, "states": states},
        params={"rows": [], "overrides": [], "marks": {}},
        sections=["localize"],
    )
    bare.run(
        "virtual_labels",
        {"truth": truth, "landmarks": landmarks, "measurements": measurements},
        {"labels": labels},
    )
    for path, schema in ((scans, SCANS), (states, SCANS), (landmarks, LANDMARKS), (labels, LABELS)):
        assert read_table(path, schema).empty


def test_no_crop_is_encoded_and_graded(bare: Cohort) -> None:  # field test B1
    latents, predictions = bare.out("latents.parquet"), bare.out("predictions.parquet")
    weights = str(bare.model / "dae/weights.safetensors")
    crops = {"pixels": bare.pixels, "crops": bare.crops}
    bare.run("encode", crops | {"weights": weights}, {"latents": latents}, sections=["dae.encode"])
    appearance, grades = bare.out("appearance.parquet"), bare.out("grades.csv")
    bare.run("appearance", crops, {"appearance": appearance})
    assert read_table(appearance, APPEARANCE).empty
    tables = {"latents": [latents], "appearance": [appearance], "splits": bare.splits}
    model = {"hyperplane": bare.hyperplane(), "calibrator": bare.calibrator(), "novelty": bare.novelty()}
    where = {"params": {"withhold": True}, "wildcards": {"method": "dae"}}
    bare.run("grade", tables | model, {"predictions": predictions}, **where)
    assert read_table(predictions, PREDICTIONS).empty
    bare.run("grades", {"predictions": [bare.predictions(method) for method in METHODS]}, {"grades": grades})
    assert read_table(grades, GRADE_TABLE).empty


def test_a_cohort_of_failed_scans_is_split_and_its_labels_are_read(empty: Cohort) -> None:  # field test B1
    splits, labels, coverage = empty.out("splits.tsv"), empty.out("labels.parquet"), empty.out("coverage.tsv")
    scans = {"scans": [empty.states], "official": []}
    empty.run("split", scans, {"splits": splits}, params={"given": {"p": "test"}}, sections=["cohort.splits"])
    rows = read_table(empty.labels, LABELS)
    if not len(rows):
        return  # a label table without a row is refused: see below
    table = empty.folder / "labels.csv"
    lines = [f"{row.patient_id},{row.scan_id},L1,1\n" for row in rows.itertuples()]
    table.write_text("patient_id,scan_id,vertebra,genant_grade\n" + "".join(lines))
    outputs = {"labels": labels, "coverage": coverage}
    empty.run("labels", {"tables": [str(table)], "crops": [empty.crops], "splits": splits}, outputs)
    assert len(read_table(labels, LABELS)) == len(rows)


def test_no_vertebra_is_evaluated_compared_and_drawn(empty: Cohort) -> None:  # field test B1
    metrics = {}
    for method in METHODS:
        metrics[method] = empty.out(f"{method}.json")
        empty.run(
            "evaluate",
            empty.tables() | {"predictions": empty.predictions(method)},
            {"metrics": metrics[method], "table": empty.out(f"{method}.tsv")},
            sections=["evaluation", "grading.fracture_grade"],
            params={"subjects": {}},
            wildcards={"method": method},
        )
        assert json.loads(Path(metrics[method]).read_text())["method"] == method
    differences, figures, summary = empty.out("differences.json"), empty.out("figures"), empty.out("summary.json")
    empty.run(
        "differences",
        empty.tables() | {"predictions": empty.predictions("dae"), "baseline": empty.predictions("pca")},
        {"differences": differences},
        sections=[
            "evaluation.bootstrap_resamples",
            "evaluation.confidence",
            "evaluation.minimum_cases",
            "grading.fracture_grade",
        ],
        params={"baseline": "pca"},
        wildcards={"method": "dae"},
    )
    assert json.loads(Path(differences).read_text())["methods"] == ["dae", "pca"]
    predictions = list(map(empty.predictions, METHODS))
    empty.run(
        "figures", empty.tables() | {"metrics": list(metrics.values()), "predictions": predictions}, {"": figures}
    )
    empty.run(
        "summary",
        {"metrics": list(metrics.values()), "grades": empty.grades, "scans": [empty.states]},
        {"summary": summary},
        params={"manifests": str(empty.folder / "manifest"), "settings_sha256": ""},
    )
    numbers = json.loads(Path(summary).read_text())
    counts = {"scans": 1, "scans_done": 0, "vertebrae": 0, "vertebrae_graded": 0}
    assert numbers["cohort"].items() >= counts.items()
    assert numbers["methods"]["dae"]["vertebra_auc"] is None
    page(empty, metrics, differences, figures, summary)


def test_methods_are_compared_on_no_vertebra(empty: Cohort) -> None:
    names = ("comparison.csv", "cases.parquet", "left_out.csv", "groups.csv", "cost.csv")
    comparison, cases, left_out, groups, cost = (empty.out(name) for name in names)
    methods = [*METHODS, "seq2seq"]
    predictions = [empty.predictions(method) for method in METHODS]
    predictions.append(write(empty.folder / "predictions/seq2seq.parquet", none_of(PREDICTIONS), PREDICTIONS))
    scores = write(empty.folder / "scores.parquet", none_of(SCAN_SCORES), SCAN_SCORES)
    write_json(empty.out("patients.json"), {"scans": {}})
    of_groups = {"cases": cases, "scans": [empty.states], "crops": [empty.crops], "appearance": [empty.appearance]}
    empty.run(
        "compare_methods",
        empty.tables() | {"predictions": predictions, "scan_scores": [scores]},
        {"comparison": comparison, "cases": cases, "left_out": left_out},
        sections=["evaluation", "grading.fracture_grade"],
        params={"methods": methods},
    )
    empty.run(
        "compare_groups",
        of_groups | {"truth": []},
        {"groups": groups},
        sections=["evaluation", "grading.fracture_grade"],
    )
    curve = empty.out("curve.csv")
    latents = write(empty.folder / "latents/0.parquet", none_of(LATENTS), LATENTS)
    empty.run(
        "learning_curve",
        {"latents": [latents], "labels": [empty.labels], "splits": empty.splits, "cases": cases},
        {"curve": curve},
        sections=["compare", "evaluation", "grading"],
        wildcards={"method": "dae"},
    )
    page, svg, pdf = (empty.out(f"comparison.{suffix}") for suffix in ("html", "svg", "pdf"))
    read = {"comparison": comparison, "left_out": left_out, "groups": groups, "predictions": predictions}
    read |= {"seq2seq": empty.out("patients.json")}
    empty.run(
        "compare",
        read | {"scans": [empty.states], "learning": [curve], "challenge": [], "applied": [], "calibrator": []},
        {"page": page, "svg": svg, "pdf": pdf, "cost": cost},
        sections=["evaluation.confidence"],
        params={"methods": methods, "phantom": False},
    )
    text = Path(page).read_text(encoding="utf-8")
    assert "0 vertebrae (0 fractured) of 0 patients" in text
    assert "could evaluate 0 of 0 scans" in text


def test_a_cohort_of_which_nothing_is_left_has_pages_all_the_same(empty: Cohort) -> None:
    strips = write(empty.folder / "strips.parquet", none_of(COUNTERFACTUALS), COUNTERFACTUALS)
    measurements = write(empty.folder / "measurements/0.parquet", none_of(MEASUREMENTS), MEASUREMENTS)
    places = write(empty.folder / "spines/0.parquet", none_of(SPINES), SPINES)
    images, index, pages = empty.out("images.npy"), empty.out("index.html"), Path(empty.out("patients"))
    np.save(images, np.empty((0, 6, 1, 64, 64), np.int16))
    write_json(empty.out("drawn.json"), {"vertebrae": 0})
    records = Path(empty.out("records"))
    records.mkdir()
    write_json(records / "p.json", {"scans": []})
    marks = Path(empty.out("qc.tsv"))
    marks.write_text("scan_id\tmark\tnote\na\tfail\tno file\n")
    empty.run(
        "patient_pages",
        {
            "scans": [empty.states],
            "landmarks": [empty.landmarks],
            "measurements": [measurements],
            "records": str(records),
            "predictions": [empty.predictions(method) for method in METHODS],
            "crops": [empty.crops],
            "pixels": [empty.pixels],
            "places": [places],
            "spines": [empty.out("spines/0")],
            "images": images,
            "strips": strips,
            "metrics": empty.out("drawn.json"),
            "card": [],
            "marks": [str(marks)],
            "follow_up": [],
        },
        {"index": index, "pages": str(pages)},
        params={"about": {"own": True, "notes": [], "phantom": False}},
        sections=["report", "localize", "grading", "dae.model"],
    )
    reason = "The path of the sample sheet does not exist or cannot be read."
    assert f"Not evaluable. {reason}" in Path(index).read_text(encoding="utf-8")
    text = (pages / "p.html").read_text(encoding="utf-8")
    assert text.count(reason) == 2
    assert "<strong>Quality control:</strong> fail (no file)" in text


TRAININGS: dict[str, tuple[str, Callable[[Cohort], tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]]] = {
    "train_dae": (
        "no evaluable crop",
        lambda c: (
            {"pixels": [c.pixels], "crops": [c.crops], "splits": c.splits},
            {"weights": c.out("w.safetensors"), "metrics": c.out("m.json")},
            {"params": {"state_dir": c.out("state")}, "sections": ["crop", "dae.model", "dae.train"]},
        ),
    ),
    "train_pca": (
        "needs at least three evaluable training crops, there are 0",
        lambda c: (
            {"pixels": [c.pixels], "crops": [c.crops], "splits": c.splits},
            {"components": c.out("c.safetensors")},
            {"params": {"window": [0.0, 400.0]}, "sections": ["grading.pca"]},
        ),
    ),
    "fit_hyperplane": (
        "no latents at all",
        lambda c: (
            {"latents": [c.latents], "labels": [c.labels], "splits": c.splits},
            {"hyperplane": c.out("h.json")},
            {"sections": ["grading"]},
        ),
    ),
    "calibrate": (
        "no latents at all",
        lambda c: (
            {"latents": [c.latents], "labels": [c.labels], "splits": c.splits, "hyperplane": c.hyperplane()},
            {"calibrator": c.out("c.json")},
            {"sections": ["grading"]},
        ),
    ),
    "fit_novelty": (
        "no latents at all",
        lambda c: (
            {"latents": [c.latents], "appearance": [c.appearance], "splits": c.splits}
            | {"hyperplane": c.hyperplane(), "calibrator": c.calibrator()},
            {"novelty": c.out("n.json")},
            {},
        ),
    ),
}


@pytest.mark.parametrize("rule", TRAININGS)
def test_training_on_nothing_says_what_is_missing(rule: str, bare: Cohort) -> None:  # field test B1
    words, files = TRAININGS[rule]
    inputs, outputs, more = files(bare)
    with pytest.raises((GradingError, ValueError), match=words):
        bare.run(rule, inputs, outputs, **more)


def test_a_label_table_without_a_row_is_named(bare: Cohort) -> None:  # field test B1
    table = bare.folder / "labels.csv"
    table.write_text("patient_id,scan_id,vertebra,genant_grade\n")
    outputs = {"labels": bare.out("labels.parquet"), "coverage": bare.out("coverage.tsv")}
    with pytest.raises(LabelError, match=r"labels.csv:\nthe table has no rows"):
        bare.run("labels", {"tables": [str(table)], "crops": [bare.crops], "splits": bare.splits}, outputs)
