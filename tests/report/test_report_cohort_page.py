"""The cohort page: complete, self-contained, accessible, and no text of the data becomes HTML."""

import html
import json
import re
from pathlib import Path

import pytest

from helpers.page import Outline
from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.evaluate import compare, evaluate
from vertegrade.files import read_json, write_json
from vertegrade.plotting import NOTICE
from vertegrade.reasons import FLAGS
from vertegrade.report.cohort_page import PageError, cohort_page
from vertegrade.report.flow import cohort_flow
from vertegrade.report.plain_words import remedy_text
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.workflow.cost import cost

SETTINGS = EvaluationSettings(bootstrap_resamples=50)
COHORT = make_cohort(20)
TABLES = COHORT.tables()
METRICS = {name: evaluate(getattr(COHORT, name), TABLES, SETTINGS, 1, 7, name) for name in ("dae", "pca")}
DIFFERENCES = [compare(COHORT.dae, COHORT.pca, TABLES, SETTINGS, 1, 7, ("dae", "pca"))]
FACTS = {"Commit": "b684443"}


def _flow():
    sheet = [scan for scan, _ in COHORT.sheet]
    return cohort_flow(sheet, COHORT.scans, COHORT.landmarks, TABLES, COHORT.dae)


@pytest.fixture
def figures(tmp_path) -> dict[str, Path]:
    paths = {}
    for name in ("roc", "pr", "calibration", "confusion", "height_loss", "levels", "counterfactuals"):
        paths[name] = tmp_path / f"{name}.{'png' if name == 'counterfactuals' else 'svg'}"
        paths[name].write_bytes(f"<svg>{name}</svg>".encode())
    return paths


def test_the_page_is_well_formed_and_says_what_it_is_not_for(figures):
    page = cohort_page(METRICS, _flow(), figures, FACTS, DIFFERENCES)
    outline = Outline(page)
    assert outline.open == []
    assert page.count(NOTICE) >= 3
    assert "b684443" in page


def test_it_says_which_patients_set_the_limits(figures):
    page = cohort_page(METRICS, _flow(), figures, FACTS, DIFFERENCES)
    assert "this limit were fixed on training patients. A paired" in page  # of DAE and PCA
    page = cohort_page(METRICS | {"supcon": METRICS["pca"]}, _flow(), figures, FACTS, DIFFERENCES)
    assert "this limit were fixed on training patients, of SupCon on validation patients" in page


def test_nothing_is_loaded_from_outside_and_nothing_runs(figures):
    page = cohort_page(METRICS, _flow(), figures, FACTS, DIFFERENCES)
    outline = Outline(page)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in outline.tags}
    sources = [attributes["src"] for attributes in outline.named("img")]
    assert len(sources) == 7
    assert all(source.startswith("data:image/") for source in sources)
    elsewhere = [attributes["href"] for attributes in outline.named("a") if not attributes["href"].startswith("#")]
    assert elsewhere == ["index.html"]
    assert not re.search(r"url\(|@import|\son\w+=", page)


def test_pictures_have_alternative_text_and_tables_captions_and_headers(figures):
    outline = Outline(cohort_page(METRICS, _flow(), figures, FACTS, DIFFERENCES))
    assert all(len(attributes["alt"]) > 30 for attributes in outline.named("img"))
    assert len(outline.named("table")) == len(outline.named("caption")) == len(outline.named("thead"))
    assert all(attributes.get("scope") in ("col", "row") for attributes in outline.named("th"))
    targets = {attributes["id"] for attributes in outline.named("section")}
    assert {attributes["href"][1:] for attributes in outline.named("a")} - {"ndex.html"} == targets


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_text_of_the_data_never_becomes_html(figures, evil):
    flow = _flow()
    flow["exclusions"][0] |= {"reason": evil, "split": evil, "scan_id": evil}
    flow["all"]["vertebrae"]["not_cropped"] = {evil: flow["all"]["vertebrae"]["not_cropped"]["outside_scan"]}
    page = cohort_page(METRICS, flow, figures, {evil: evil}, DIFFERENCES)
    assert evil not in page
    outline = Outline(page)
    assert "script" not in {tag for tag, _ in outline.tags}
    assert len(outline.named("img")) == 7


def test_key_figures_stand_with_intervals_the_baseline_and_the_difference(figures):
    page = cohort_page(METRICS, _flow(), figures, FACTS, DIFFERENCES)
    for name in ("dae", "pca"):
        cell = METRICS[name]["splits"]["test"]["vertebra"]["auc"]
        assert f"{cell['value']:.3f}" in page
        assert f"({cell['low']:.3f}–{cell['high']:.3f})" in page
    assert f"+{DIFFERENCES[0]['vertebra']['auc']['value']:.3f}" in page


def test_counts_and_exclusions_are_those_of_the_flow(figures):
    flow = _flow()
    page = cohort_page(METRICS, flow, figures, FACTS)
    assert f"<b>{flow['all']['vertebrae']['found']}</b>" in page
    for row in flow["exclusions"]:
        assert row["scan_id"] in page
        assert row["reason"] in page


def test_a_scan_left_out_has_its_remedy_and_neither_path_nor_message(figures):
    """The page is meant for mail and archive, and a folder may be named after a patient."""
    named = COHORT.scans.assign(message="/data/PLANTED_ANNA_19500101/CT: cut short; copy it again")
    sheet = [scan for scan, _ in COHORT.sheet]
    flow = cohort_flow(sheet, named, COHORT.landmarks, COHORT.tables(scans=named), COHORT.dae)
    page = cohort_page(METRICS, flow, figures, FACTS)
    assert "PLANTED" not in json.dumps(flow) + page
    left_out = html.unescape(page[page.index('id="exclusions"') : page.index('id="limits"')])
    assert flow["exclusions"]
    assert all(remedy_text(row["reason"]) in left_out for row in flow["exclusions"])


def test_flags_stand_with_their_meaning(figures):
    flow = _flow()
    assert "with a reservation" not in cohort_page(METRICS, flow, figures, FACTS)
    flow["flags"] = [{"flag": "resampled_tilt", "scans": 3, "vertebrae": 41}]
    page = cohort_page(METRICS, flow, figures, FACTS)
    assert FLAGS["resampled_tilt"] in page
    assert re.search(r'>3</td><td data-head="[^"]+" class="number">41</td>', page)


def test_a_flow_of_another_cohort_than_the_metrics_is_refused(figures):
    flow = _flow()
    flow["splits"]["test"]["vertebrae"]["evaluated"] -= 1
    with pytest.raises(PageError, match="evaluate again"):
        cohort_page(METRICS, flow, figures, FACTS)


def test_a_page_without_pictures_labels_or_comparison_still_stands():
    tables = COHORT.tables(labels=COHORT.labels.iloc[:0])
    metrics = {"dae": evaluate(COHORT.dae, tables, SETTINGS, 1, 7, "dae")}
    scans = [scan for scan, _ in COHORT.sheet]
    flow = cohort_flow(scans, COHORT.scans, COHORT.landmarks, tables, COHORT.dae)
    page = cohort_page(metrics, flow, {}, {})
    assert Outline(page).open == []
    assert "n/a" in page
    assert "no labelled vertebrae." in page


def test_only_phantoms_are_called_phantoms(figures):
    page = cohort_page(METRICS, _flow(), figures, FACTS, phantom=True)
    assert "digital phantoms" in page
    assert "Some of it is circular." in page
    assert "phantoms" not in cohort_page(METRICS, _flow(), figures, FACTS, phantom=False)


def test_what_each_rule_took_stands_with_the_dearest_first_and_a_scans_share(figures):
    used = {"wall_s": 3600.0, "cpu_s": 1800.0, "peak_rss_mb": 512.0, "device": "cpu", "gpus": 0}
    gpu = used | {"device": "NVIDIA A100", "gpus": 2}
    small, large = used | {"wall_s": 0.5, "cpu_s": 0.5}, used | {"cpu_s": 3.6e9}
    rules = {"convert": used, "train_dae": gpu, "split": small}
    taken = cost([{"rule": rule, "resources": each} for rule, each in rules.items()], 4)  # field test C5
    page = cohort_page(METRICS, _flow(), figures, FACTS, DIFFERENCES, cost=taken)
    assert "<caption>What it took</caption>" in page
    assert page.index(">train_dae</th>") < page.index(">convert</th>") < page.index(">All, for each scan</th>")
    cells = r"".join(rf'<td data-head="[^"]+" class="number">{text}</td>' for text in ("1", "0.5", "2", "512"))
    assert re.search(f'<th scope="row">train_dae</th>{cells}', page)
    assert "300 W per GPU" in page
    for each in (taken, cost([{"rule": "train_dae", "resources": large}], 1)):
        page = cohort_page(METRICS, _flow(), figures, FACTS, DIFFERENCES, cost=each)
        assert not re.search(r'class="number">[0-9.]+e[-+]', page)


def test_whatever_scrolls_sideways_takes_the_keyboards_focus(figures):
    page = cohort_page(METRICS, _flow(), figures, FACTS, DIFFERENCES)  # field test B13
    outline = Outline(page)
    wide = [attributes for attributes in outline.named("figure") if attributes.get("class") == "wide"]
    boxes = [attributes for attributes in outline.named("div") if attributes.get("class") == "scroll"]
    assert len(wide) == 4
    heads = [table.count('<th scope="col"') for table in page.split("<table")[1:]]
    assert len(boxes) == sum(count > 8 for count in heads)
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in [*wide, *boxes])


def test_levels_and_slices_stand_in_their_order_after_the_file(figures, tmp_path):
    """From head to feet and from thin to thick, not by their text: L1 after T12, `<= 1 mm` first."""  # field test B13
    write_json(tmp_path / "metrics.json", METRICS["dae"], sort_keys=False)
    page = cohort_page({"dae": read_json(tmp_path / "metrics.json")}, _flow(), figures, FACTS)
    rows = re.findall(r'<th scope="row">([TL]\d+|&lt;= 1 mm|[12]-[23] mm|&gt; 3 mm)</th>', page)
    assert rows == [f"T{n}" for n in range(4, 13)] + [f"L{n}" for n in range(1, 6)] + rows[14:]
    assert rows[14:] == [band for band in ("&lt;= 1 mm", "1-2 mm", "2-3 mm", "&gt; 3 mm") if band in rows]
    assert {"&lt;= 1 mm", "2-3 mm"} <= set(rows)  # by their text the other way round


def test_what_the_model_looks_at_is_told_where_there_is_a_picture(figures, tmp_path):
    looked = {
        "vertebrae": 9,
        "finding": "So 80 % comes from <the> vertebra itself.",
        "warning": "Do not read it.",
        "trust": "It agrees.",
        "maps": ["Gradient", "Occlusion", "PCA (exact)"],
        "areas": [{"name": "Endplates", "cells": ["9 %", "18 %", "0.45", "17 %", "20 %", "0.38"]}],
        "heights": [{"name": "Wedge, all levels", "source": "Test CT", "n": 7, "cells": ["−20.0", "−12.0", "−3.0"]}],
    }
    assert "What does the model look at?" not in cohort_page(METRICS, _flow(), figures, FACTS, looked=looked)
    figures["looks_at"] = tmp_path / "looks_at.png"
    figures["looks_at"].write_bytes(b"png")
    page = cohort_page(METRICS, _flow(), figures, FACTS, looked=looked)
    assert Outline(page).open == []
    told = ("So 80 % comes from &lt;the&gt; vertebra itself.", "Do not read it.", "It agrees.", "Test CT", "−12.0")
    assert all(text in page for text in told)
    assert "No map could be made" not in page
    assert "No map could be made" in cohort_page(METRICS, _flow(), figures, FACTS, looked=None)
