"""What makes the page of a cohort of which nothing is left: its pictures, and the page itself."""

import json
from pathlib import Path

import pytest

from helpers.empty_cohort import METHODS, Cohort
from helpers.runs import ROOT
from vertegrade.files import write_json

TEXTS = ("methods", "claim", "tripod_ai")


def page(empty: Cohort, metrics: dict[str, str], differences: str, figures: str, summary: str) -> None:
    """The flow, the pictures and the page of the same cohort."""
    flow = empty.out("flow.json")
    empty.run(
        "flow",
        {
            "index": [],
            "converted": [empty.scans],
            "scans": [empty.states],
            "landmarks": [empty.landmarks],
            "crops": [empty.crops],
            "labels": empty.labels,
            "grades": empty.grades,
            "splits": empty.splits,
        },
        {"numbers": flow, "table": empty.out("flow.tsv"), "figure": empty.out("flow.svg")},
        params={"sheet": ["a"]},
    )
    assert json.loads(Path(flow).read_text())["all"]["scans"]["not_converted"] == {"path_missing (failed)": 1}
    outcome = empty.out("outcome.txt")
    states = {"scans": [empty.states], "grades": empty.grades}
    with pytest.raises(SystemExit, match="no scan is done"):
        empty.run("outcome", states, {"": outcome}, params={"fail_on": "all"})
    empty.run("outcome", states, {"": outcome}, params={"fail_on": "none"})
    assert Path(outcome).read_text().startswith("1 scan(s): 0 done, 1 failed (1 path_missing)\n")
    collapsed = {"pixels": empty.out("collapsed.npy"), "crops": empty.out("collapsed.parquet")}
    shard = {"landmarks": empty.landmarks, "measurements": empty.measurements, "frames": empty.frames}
    empty.run(
        "collapse_crops",
        shard | {"volumes": empty.folder, "scans": empty.scans, "crops": empty.crops, "splits": empty.splits},
        collapsed,
        sections=["crop", "dae.counterfactual.pairs"],
    )
    steps, weights = empty.out("steps.safetensors"), str(empty.model / "dae/weights.safetensors")
    empty.run(
        "fit_steps",
        {name: [path] for name, path in collapsed.items()} | {"weights": weights},
        {"steps": steps},
        sections=["dae.encode"],
    )
    refiner = str(ROOT / "models/localizer/vertebrae.safetensors")
    images, strips, drawn = (empty.out(name) for name in ("images.npy", "strips.parquet", "strips.json"))
    pixels = {"pixels": [empty.pixels], "crops": [empty.crops]}
    empty.run(
        "counterfactual",
        pixels
        | {name: [path] for name, path in shard.items()}
        | {
            "latents": [empty.latents],
            "weights": weights,
            "steps": steps,
            "hyperplane": empty.hyperplane(),
            "calibrator": empty.calibrator(),
            "refiner": refiner,
            "predictions": empty.predictions(),
            "grades": empty.grades,
        },
        {"images": images, "strips": strips, "metrics": drawn},
        sections=["crop", "dae.counterfactual"],
    )
    assert json.loads(Path(drawn).read_text())["vertebrae"] == 0
    bent, told_apart = empty.out("rivals.npy"), empty.out("rivals.json")
    empty.run(
        "rivals",
        pixels
        | {name: [path] for name, path in shard.items()}
        | {"images": images, "strips": strips, "refiner": refiner},
        {"images": bent, "figures": told_apart},
        sections=["crop", "dae.model", "dae.counterfactual.rounds", "evaluation"],
    )
    maps, areas, looked = empty.out("looks_at.npy"), empty.out("areas.npy"), empty.out("looks_at.parquet")
    found, heights = empty.out("looks_at.json"), empty.out("grade_heights.parquet")
    empty.run(
        "looks_at",
        {
            "pixels": [empty.pixels],
            "frames": [empty.frames],
            "landmarks": [empty.landmarks],
            "measurements": [empty.measurements],
            "predictions": empty.predictions(),
            "strips": strips,
            "weights": weights,
            "components": str(empty.model / "pca/components.safetensors"),
        }
        | {method: [empty.latents] for method in ("dae", "pca")}
        | {f"{method}_hyperplane": empty.hyperplane(method) for method in ("dae", "pca")}
        | {f"{method}_calibrator": empty.calibrator(method) for method in ("dae", "pca")},
        {"maps": maps, "areas": areas, "table": looked, "metrics": found, "heights": heights},
        sections=["crop", "dae.counterfactual", "evaluation"],
    )
    assert json.loads(Path(found).read_text())["vertebrae"] == 0
    window = ["report.window_centre_hu", "report.window_width_hu"]
    looks_at = empty.out("looks_at.png")
    empty.run(
        "looks_at_figure",
        pixels | {"maps": maps, "areas": areas, "table": looked, "images": images, "strips": strips},
        {"": looks_at},
        sections=["dae.model.hu_low", "dae.model.hu_high", *window],
    )
    shown, montage = empty.out("counterfactuals.png"), empty.out("montage.png")
    empty.run(
        "counterfactual_figure",
        {"images": images, "strips": strips, "grades": empty.grades, "labels": empty.labels}
        | {"predictions": empty.predictions(), "rivals": bent},
        {"figure": shown, "animations": empty.out("counterfactuals"), "rivals": empty.out("rivals.png")},
        sections=["report.difference_hu", "dae.counterfactual.shown", "dae.model.hu_low", "dae.model.hu_high", *window],
    )
    empty.run(
        "montage",
        pixels | {"predictions": empty.predictions(), "grades": empty.grades, "labels": empty.labels},
        {"": montage},
        sections=["report.montage_crops", *window],
    )
    charts = empty.out("charts")
    empty.run(
        "charts",
        pixels
        | {"predictions": [empty.predictions(method) for method in METHODS], "latents": [empty.latents]}
        | {"grades": empty.grades, "labels": empty.labels, "hyperplane": empty.hyperplane()},
        {"": charts},
        params={"phantom": False},
        sections=window,
    )
    comparison = empty.out("comparison.csv")
    predictions = [empty.predictions(method) for method in METHODS]
    empty.run(
        "compare_methods",
        empty.tables() | {"predictions": predictions, "scan_scores": []},
        {"comparison": comparison, "cases": empty.out("cases.parquet"), "left_out": empty.out("left_out.csv")},
        sections=["evaluation", "grading.fracture_grade"],
        params={"methods": METHODS},
    )
    training = {"steps": 1, "seconds": 1.0, "patients": 1}
    write_json(empty.out("training.json"), training)
    empty.run(
        "cohort_page",
        {
            "metrics": list(metrics.values()),
            "figures": figures,
            "flow": flow,
            "training": empty.out("training.json"),
            "localizer": [str(ROOT / "models/localizer/centreline.safetensors"), refiner],
            "heights": empty.heights,
            "calibrators": [empty.calibrator(method) for method in METHODS],
            "montage": montage,
            "counterfactuals": shown,
            "strips": drawn,
            "rivals": empty.out("rivals.png"),
            "told_apart": told_apart,
            "looks_at": looks_at,
            "looked": found,
            "grade_heights": heights,
            "differences": [differences],
            "comparison": comparison,
            "predictions": predictions,
            "labels": empty.labels,
            "grades": empty.grades,
            "scans": [empty.states],
            "drawn": strips,
            "summary": summary,
            "charts": charts,
            "applied": [],
        }
        | pixels,
        {"page": empty.out("cohort.html")} | {name: empty.out(f"{name}.md") for name in TEXTS},
        sections=[
            "cohort.splits",
            "localize",
            "crop",
            "dae.model",
            "dae.train",
            "dae.counterfactual.shown",
            "grading",
            "evaluation",
            "report.montage_crops",
            *window,
        ],
        params={"about": {"phantom": False, "labels": "people", "seed": 1}, "versions": {}},
    )
    assert "trained on phantoms alone" in Path(empty.out("methods.md")).read_text(encoding="utf-8")
    for name in TEXTS:
        assert "Research use only" in Path(empty.out(f"{name}.md")).read_text(encoding="utf-8")
    assert "path_missing" in Path(empty.out("cohort.html")).read_text(encoding="utf-8")
