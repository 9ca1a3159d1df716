"""Texts for a paper: from the settings of the run, with the references that it used, and checklists without a gap."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.methods import METHODS
from vertegrade.model_files import NETWORKS, read_metadata
from vertegrade.plotting import NOTICE
from vertegrade.report.flow import cohort_flow
from vertegrade.report.paper import claim, tripod_ai
from vertegrade.report.paper.checklist import AUTHORS, Answer, Item, checklist_markdown
from vertegrade.report.paper.methods_text import localizer_taught, methods_markdown, methods_text
from vertegrade.report.paper.references import REFERENCES, cite, numbered
from vertegrade.report.paper.run import Run
from vertegrade.settings import Settings
from vertegrade.settings.evaluation import EvaluationSettings

COHORT = make_cohort(20)
DEFAULT = Settings()
METRICS = evaluate(COHORT.dae, COHORT.tables(), EvaluationSettings(bootstrap_resamples=20), 1, 7, "dae")
RUN = Run(
    about={"phantom": False, "labels": "people", "seed": 31415},
    splits=DEFAULT.cohort.splits,
    localize=DEFAULT.localize,
    crop=DEFAULT.crop,
    model=DEFAULT.dae.model,
    train=DEFAULT.dae.train,
    grading=DEFAULT.grading,
    evaluation=DEFAULT.evaluation,
    flow=cohort_flow([scan for scan, _ in COHORT.sheet], COHORT.scans, COHORT.landmarks, COHORT.tables(), COHORT.dae),
    metrics={"dae": METRICS, "pca": METRICS},
    training={"steps": 1500.0, "seconds": 3.0, "patients": 8},
    localizer={name: {"phantom_scans": "440", "own_scans": "0"} for name in ("centreline", "vertebrae")},
    calibrators={"dae": "ordinal_z", "pca": "linear"},
    heights="fitted to 99 vertebrae of 9 training patients",
    versions={"numpy": "2.3", "torch": "2.13"},
    commit="b684443",
)
EVERYTHING = replace(RUN, metrics=dict.fromkeys(METHODS, METRICS))


def text_of(run: Run) -> str:
    return methods_markdown(*methods_text(run))


def test_the_text_has_the_settings_and_counts_of_the_run() -> None:
    text = text_of(RUN)
    test = METRICS["splits"]["test"]["counts"]
    for told in (
        f"{test['vertebrae_fractured']} of {test['vertebrae_labelled']} labelled vertebrae were fractured",
        "5 parasagittal slices, 4 mm apart, with 64 x 64 pixels of 0.75 mm",
        "1500 steps of 32 crops of 8 patients",
        "between 0 and 400 HU",
        "1000 bootstrap resamples",
        "commit b684443",
        "numpy 2.3, torch 2.13",
        "seed 31415",
        NOTICE,
    ):
        assert told in text
    assert text == text_of(RUN)  # no time, nothing random


def test_another_setting_is_another_text() -> None:
    model = RUN.model.model_copy(update={"z_dim": 77, "slab_mean": False})
    grading = RUN.grading.model_copy(update={"classifier": "svm", "coverage": 0.8})
    crop = RUN.crop.model_copy(update={"pixel_mm": 0.9})
    text = text_of(replace(RUN, model=model, grading=grading, crop=crop))
    for told in ("77 numbers", "saw the 5 central slices", "support vector machine", "of 80 % of new", "of 0.9 mm"):
        assert told in text
        assert told not in text_of(RUN)


def test_phantoms_are_called_phantoms_and_patients_are_not() -> None:
    text = text_of(replace(RUN, about=RUN.about | {"phantom": True}))
    assert "20 digital phantoms" in text
    assert "Nobody was scanned" in text
    assert "digital phantoms" not in text_of(RUN)
    localized = RUN.localize.model_copy(update={"method": "provided"})
    assert "phantom" not in text_of(replace(RUN, localize=localized))


@pytest.mark.parametrize(
    ("centreline", "vertebrae", "text"),
    [
        ((440, 0), (440, 0), "They were trained on phantoms alone."),
        ((440, 1), (440, 1), "They were trained on 440 phantoms and 1 annotated scan of a training split."),
        ((0, 12), (0, 12), "They were trained on 12 annotated scans of a training split."),
        ((440, 0), (0, 12), "The first was trained on phantoms alone, the others on 12 annotated scans of a training"),
        ((440, 0), None, "Their weights do not say what they were trained on."),
    ],
)
def test_what_the_localizer_learned_from_is_what_its_weights_state(centreline, vertebrae, text: str) -> None:
    facts = {
        name: {} if scans is None else {"phantom_scans": str(scans[0]), "own_scans": str(scans[1])}
        for name, scans in (("centreline", centreline), ("vertebrae", vertebrae))
    }
    told = text_of(replace(RUN, localizer=facts))
    assert text in told
    assert ("phantoms alone" in told) == ("phantoms alone" in text)


def test_the_weights_that_ship_state_it() -> None:
    folder = Path(__file__).resolve().parents[2] / "models/localizer"
    facts = {Path(name).stem: read_metadata(folder / name)["facts"] for name in NETWORKS}
    assert localizer_taught(facts) == "They were trained on phantoms alone."


@pytest.mark.parametrize("run", [RUN, EVERYTHING], ids=["default", "all methods"])
def test_each_reference_is_cited_and_each_number_is_listed_in_order(run: Run) -> None:
    sections, references = methods_text(run)
    text = " ".join(paragraph for _, paragraphs in sections for paragraph in paragraphs)
    numbers = [int(n) for marks in re.findall(r"\[([\d, ]+)\]", text) for n in marks.split(", ")]
    assert [*dict.fromkeys(numbers)] == [*range(1, len(references) + 1)]
    assert "[@" not in text
    assert len(set(references)) == len(references)


def test_nothing_is_cited_that_the_run_did_not_use() -> None:
    text = text_of(RUN)
    for absent in ("chettrit", "wei", "khosla", "huang", "hu"):
        assert REFERENCES[absent] not in text
        assert REFERENCES[absent] in text_of(EVERYTHING)
    adam = RUN.train.model_copy(update={"optimiser": "adamw"})
    provided = RUN.localize.model_copy(update={"method": "provided"})
    less = text_of(replace(RUN, train=adam, localize=provided, calibrators={"dae": "linear"}, versions={}))
    for absent in ("muon", "zakharov", "mccullagh", "torch"):
        assert REFERENCES[absent] not in less
        assert REFERENCES[absent] in text


def test_every_reference_is_used_by_some_run() -> None:
    assert set(methods_text(EVERYTHING)[1]) == set(REFERENCES.values())


def test_a_paper_that_is_not_listed_cannot_be_cited() -> None:
    with pytest.raises(KeyError, match="nobody"):
        cite("genant", "nobody")
    assert numbered([("", [f"a {cite('wei')} b {cite('genant', 'wei')}"])]) == (
        [("", ["a [1] b [2, 1]"])],
        [REFERENCES["wei"], REFERENCES["genant"]],
    )


def test_claim_has_44_items_and_tripod_27_with_their_parts() -> None:
    assert [item.number for item in claim.ITEMS] == [str(n) for n in range(1, 45)]
    numbers = [item.number for item in tripod_ai.ITEMS]
    assert len(numbers) == len(set(numbers)) == 52
    assert [*dict.fromkeys(int(re.sub("[a-g]", "", number)) for number in numbers)] == [*range(1, 28)]
    topics = {item.number: item.topic for item in claim.ITEMS}
    for number, word in {"7": "data", "19": "partitions", "23": "Software", "34": "trial", "39": "failures"}.items():
        assert word in topics[number]


@pytest.mark.parametrize("make", [claim.claim, tripod_ai.tripod_ai], ids=["claim", "tripod_ai"])
def test_each_item_has_a_value_with_its_place_or_is_left_to_the_authors(make) -> None:
    text = make(RUN)
    assert NOTICE in text
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == {claim.claim: 44, tripod_ai.tripod_ai: 52}[make]
    for row in rows:
        _, _, value, where = [cell.strip() for cell in row]
        assert value
        assert (value == AUTHORS) == (where == ""), row
    assert "digital phantoms" not in text
    assert "digital phantoms" in make(replace(RUN, about=RUN.about | {"phantom": True}))


def test_values_are_those_of_the_run() -> None:
    text = claim.claim(RUN)
    auc = METRICS["splits"]["test"]["vertebra"]["auc"]
    assert f"DAE ROC AUC {auc['value']:.3f} ({auc['low']:.3f}–{auc['high']:.3f})" in text
    assert "1000 bootstrap resamples" in text
    assert "2 of 20 scans were left out" in text


def test_an_answer_to_no_item_is_refused_and_a_bar_is_no_column() -> None:
    items = [Item("1", "A", "b")]
    with pytest.raises(KeyError, match="does not have"):
        checklist_markdown("T", "S", items, {"2": Answer("x", "y")}, False)
    assert "| a\\|b | c |" in checklist_markdown("T", "S", items, {"1": Answer("a|b", "c")}, False)
