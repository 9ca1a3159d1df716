"""The charts of the cohort's page: what they draw, what is told of a vertebra, and that the page still asks nobody."""

import base64
import hashlib
import html
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from helpers.charts import COHORT, latents_of, write_charts
from helpers.page import Outline
from vertegrade.files import read_json, sha256_of
from vertegrade.grading.grades import grade_table
from vertegrade.plotting import NOTICE
from vertegrade.report.charts import crops, rows
from vertegrade.report.charts.drawing import LONG, PLACES, chart_svg
from vertegrade.report.charts.figures import NO_INTERVALS, NO_LABELS, NO_MAP, all_charts
from vertegrade.report.charts.section import charts_section
from vertegrade.report.severities import interval_text, severity_text
from vertegrade.report.templates import templates

PREDICTIONS = {"dae": COHORT.dae, "pca": COHORT.pca}
DRAWN = rows.drawn_vertebrae(PREDICTIONS, grade_table(PREDICTIONS), COHORT.labels)
LABELS = {"dae": "DAE", "pca": "PCA"}
FIGURES = {"latents_dae"} | {f"{kind}_{name}" for kind in ("severity", "loss", "intervals") for name in PREDICTIONS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_charts(tmp_path_factory.mktemp("charts"))


@pytest.fixture(scope="module")
def section(folder: Path) -> dict[str, Any]:
    return charts_section(folder)


def page(section: dict[str, Any]) -> str:
    return templates().get_template("charts/charts.html.j2").render(charts=section)


def test_every_chart_is_a_figure_for_papers_too(folder: Path) -> None:
    assert {path.stem for path in folder.glob("*.svg")} == FIGURES
    for name in FIGURES:
        text = (folder / f"{name}.svg").read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert NOTICE in text
        assert "digital phantoms" in text
        assert set(re.findall(r"https?://[^\"/]*", text)) == {"http://www.w3.org"}  # names of XML's own
        assert read_json(folder / f"{name}.vl.json")["data"]["values"]


def test_the_same_inputs_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert sha256_of(write_charts(tmp_path)) == sha256_of(folder)


def test_places_have_two_decimals_and_texts_keep_theirs() -> None:
    values = [{"x": n / 3, "name": "0.12345"} for n in range(3)]
    encoding = {"x": {"field": "x", "type": "quantitative"}, "text": {"field": "name"}}
    svg = chart_svg({"data": {"values": values}, "mark": "text", "encoding": encoding})
    root = ElementTree.fromstring(svg)
    assert [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")].count("0.12345") == 3
    assert len(PLACES.findall(svg)) > 10
    assert not any(LONG.search(place) for place in PLACES.findall(svg))


def test_points_are_the_graded_and_labelled_test_vertebrae(folder: Path) -> None:
    truth = COHORT.labels[COHORT.labels["usable"]].set_index(["scan_id", "vertebra"])
    graded = COHORT.pca[COHORT.pca["evaluable"] & (COHORT.pca["split"] == "test")].set_index(["scan_id", "vertebra"])
    graded = graded[COHORT.dae.set_index(["scan_id", "vertebra"]).loc[graded.index, "evaluable"]]
    known = graded.index.intersection(truth.index)
    values = read_json(folder / "severity_pca.vl.json")["data"]["values"]
    assert len(values) == len(known) > 50
    for value in values:
        key = tuple(DRAWN.loc[value["i"], ["scan_id", "vertebra"]])
        assert value["y"] == pytest.approx(graded.loc[key, "severity"], abs=1e-3)
        assert int(value["grade"]) == truth.loc[key, "genant_grade"] == round(value["x"])
    losses = read_json(folder / "loss_pca.vl.json")["data"]["values"]
    assert [value["x"] for value in losses] == pytest.approx(
        [100 * truth.loc[tuple(DRAWN.loc[value["i"], ["scan_id", "vertebra"]]), "height_loss"] for value in losses],
        abs=1e-3,
    )


def test_intervals_stand_in_the_order_of_severity(folder: Path) -> None:
    values = read_json(folder / "intervals_dae.vl.json")["data"]["values"]
    assert [value["x"] for value in values] == list(range(1, len(values) + 1))
    severities = [value["y"] for value in values]
    assert severities == sorted(severities)
    assert all(value["low"] <= value["y"] <= value["high"] for value in values)
    index = read_json(folder / "charts.json")
    (words,) = [f["words"] for chart in index["charts"] for f in chart["figures"] if f["name"] == "intervals_dae"]
    outside = sum(v["truth"] is not None and not v["low"] <= v["truth"] <= v["high"] for v in values)
    assert f"{outside} of {sum(v['truth'] is not None for v in values)} true grades" in words


def test_the_map_goes_along_the_hyperplane_and_along_the_largest_difference_across_it(folder: Path) -> None:
    values = read_json(folder / "latents_dae.vl.json")["data"]["values"]
    assert {value["split"] for value in values} == {"train", "validation", "test"}
    assert values[-1]["split"] == "test"  # on top
    second = {(row.scan_id, row.vertebra): row.z[1] for row in latents_of(COHORT.dae).itertuples()}
    places = np.array([[value["x"], value["y"]] for value in values])
    keys = [tuple(DRAWN.loc[value["i"], ["scan_id", "vertebra"]]) for value in values]
    severity = DRAWN.loc[[value["i"] for value in values], "severity_dae"]
    np.testing.assert_allclose(places[:, 0], severity - 0.5, atol=2e-3)  # (3 s - 1.5) / 3
    assert np.corrcoef(places[:, 1], [second[key] for key in keys])[0, 1] > 0.99  # never reversed


def test_what_is_told_of_a_vertebra_is_what_the_tables_say(section: dict[str, Any]) -> None:
    vertebrae = section["data"]["vertebrae"]
    assert [row["scan"] for row in vertebrae] == DRAWN["scan_id"].tolist()
    row, drawn = vertebrae[3], DRAWN.loc[3]
    of = row["of"]["PCA"]
    assert of["grade"] == drawn["grade_pca"]
    assert of["severity"] == severity_text(drawn["severity_pca"], 2)
    assert of["interval"] == interval_text(drawn["severity_low_pca"], drawn["severity_high_pca"], "–")
    assert of["p"] == f"{drawn['p_fracture_pca']:.2f}"
    test = COHORT.dae[COHORT.dae["split"] == "test"]
    assert section["notes"][0].startswith(f"{test['evaluable'].sum()} of {len(test)} test vertebrae are drawn")


def test_more_vertebrae_than_a_page_holds_are_drawn_in_part_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST", {"test": 10, "validation": 2, "train": 3})
    monkeypatch.setattr(crops, "MOST", 11)
    few = rows.drawn_vertebrae(PREDICTIONS, grade_table(PREDICTIONS), COHORT.labels)
    assert few["split"].value_counts().to_dict() == {"test": 10, "validation": 2, "train": 3}
    assert few["severity_dae"].max() > 2  # spread over the severity
    graded = (COHORT.dae["evaluable"] & (COHORT.dae["split"] == "test")).sum()
    assert f"{graded - 10} graded ones are left out" in rows.left_out(PREDICTIONS, few, "DAE")
    shown = crops.pictured(few, "dae")
    assert crops.pictured_text(few, shown).startswith("The crops of 10 of 10 test, 1 of 2 validation, 0 of 3 train")
    monkeypatch.setattr(crops, "MOST", 2)  # the least and the most severe one
    ends = few.loc[few["split"] == "test", "severity_dae"].agg(["min", "max"])
    assert sorted(crops.pictured(few, "dae")["severity_dae"]) == ends.tolist()


def test_pictures_are_those_of_their_vertebrae(section: dict[str, Any]) -> None:
    pictures = section["data"]["pictures"]
    assert len(pictures) == min(len(DRAWN), crops.MOST)
    place = {(row.scan_id, row.vertebra): n for n, row in enumerate(COHORT.crops.itertuples())}
    hu = np.linspace(-200, 800, len(COHORT.crops))
    for index in (0, 40):
        image = Image.open(io.BytesIO(base64.b64decode(pictures[str(index)].partition(",")[2])))
        value = hu[place[tuple(DRAWN.loc[index, ["scan_id", "vertebra"]])]]
        assert image.size == (crops.SIDE, crops.SIDE)
        assert np.asarray(image).mean() == pytest.approx(np.clip((value - -200) / 1000 * 255, 0, 255), abs=30)


def test_the_page_runs_its_own_scripts_alone_and_no_text(section: dict[str, Any]) -> None:
    text = page(section)
    outline = Outline(text)
    assert outline.open == []
    assert not {"link", "iframe", "object"} & {tag for tag, _ in outline.tags}
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in outline.named("img"))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert section["policy"].endswith(" ".join(["script-src", *(f"'sha256-{digest}'" for digest in digests)]))
    assert "unsafe-eval" not in section["policy"]
    assert "ast: true" in scripts[1]  # without it Vega makes functions of text, which the policy forbids
    assert "University of Washington" in scripts[0][:400]
    assert "<!--" not in scripts[0]


def test_a_planted_script_is_shown_not_run(section: dict[str, Any]) -> None:
    evil = "</script><script>alert(1)</script>"
    first = section["data"]["vertebrae"][0] | {"scan": evil, "patient": evil, "flags": evil, "shape": evil}
    text = page(section | {"data": section["data"] | {"vertebrae": [first]}, "rows": [first | {"places": ["", ""]}]})
    assert evil not in text
    assert html.escape(evil) in text
    (data,) = re.findall(r'id="charts-data">(.*?)</script>', text)
    assert json.loads(data)["vertebrae"][0]["scan"] == evil


def test_without_a_script_the_table_tells_all(section: dict[str, Any]) -> None:
    text = page(section)
    test = (DRAWN["split"] == "test").sum()
    assert text.count('<tr><th scope="row" class="keep">') == test
    patient = DRAWN.loc[0, "patient_id"]
    assert f'<a href="patients/{patient}.html">{DRAWN.loc[0, "scan_id"]}</a>' in text
    assert 'class="stack sortable dense"' in text


def test_a_chart_that_has_nothing_to_draw_says_why() -> None:
    unlabelled = DRAWN.assign(genant_grade=np.nan, height_loss=np.nan)
    unknown = unlabelled.assign(severity_low_dae=np.nan, severity_high_dae=np.nan)
    charts = all_charts(unknown[unknown["split"] == "test"], {"dae": "DAE"}, None, phantom=False)
    assert [chart.to_dict()["why_not"] for chart in charts] == [NO_LABELS, NO_INTERVALS, NO_MAP]
    charts = all_charts(DRAWN[DRAWN["split"] == "train"], LABELS, None, phantom=False)
    assert not any(chart.figures for chart in charts)
    (severity, intervals, _) = all_charts(unlabelled, {"dae": "DAE"}, None, phantom=False)
    assert not severity.figures
    (figure,) = intervals.figures
    assert {value["grade"] for value in figure.spec["data"]["values"]} == {"unknown"}
    assert "phantoms" not in str(figure.spec["title"])
