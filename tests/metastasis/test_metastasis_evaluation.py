"""Figures of bone quality: thresholds from validation patients, both networks on the same cases."""

import numpy as np
import pytest

from helpers.bone_predictions import all_tables, known_of, labels_of
from helpers.bone_vertebrae import labelled_as_published
from vertegrade.evaluation.bone_quality import bone_metrics, metrics_table
from vertegrade.metastasis.classes import BASELINE, MULTITASK
from vertegrade.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=50)
DATA, LABELS, KNOWN, WHOLE, SLICES = all_tables()


def metrics(**changes: object) -> dict:
    given = {"labels": LABELS, "known": KNOWN, "predictions": WHOLE, "slices": SLICES} | changes
    return bone_metrics(**given, settings=SETTINGS, specificity=0.9, seed=1)  # type: ignore[arg-type]


def value(made: dict, level: str, network: str, figure: str) -> float:
    return made["levels"][level]["networks"][network][figure]["value"]


def test_figures_of_both_networks_and_their_difference() -> None:
    made = metrics()
    block = made["levels"]["vertebrae"]
    assert block["counts"] == dict.fromkeys(("normal", "blastic", "mixed", "lytic"), 10)  # ten test patients
    assert value(made, "vertebrae", MULTITASK, "macro_f1") == 1
    assert value(made, "vertebrae", BASELINE, "mixed_sensitivity") == 0
    assert value(made, "vertebrae", BASELINE, "mixed_specificity") == 1
    assert value(made, "vertebrae", BASELINE, "lytic_precision") == pytest.approx(0.5)
    assert value(made, "vertebrae", BASELINE, "lytic_specificity") == pytest.approx(2 / 3)
    assert value(made, "vertebrae", BASELINE, "macro_sensitivity") == pytest.approx(0.75)
    assert block["differences"]["mixed_sensitivity"]["value"] == 1
    assert block["confusion"][BASELINE][2] == [0, 0, 0, 10]
    table = metrics_table(made)
    assert {"vertebrae", "slices"} == set(table["level"])
    assert {MULTITASK, BASELINE, "difference", "posterolateral"} == set(table["network"])


def test_slices_of_which_nothing_is_known_do_not_count() -> None:
    made = metrics()
    normal, all_slices = made["levels"]["slices"]["counts"]["normal"], 3 * 40
    assert sum(made["levels"]["slices"]["counts"].values()) == all_slices
    assert value(made, "slices", MULTITASK, "normal_sensitivity") == 1  # it says normal of every slice
    assert value(made, "slices", MULTITASK, "normal_specificity") == 0
    unknown = KNOWN.assign(lytic=np.where(KNOWN["slice"] == 0, -1, KNOWN["lytic"]))
    fewer = metrics(known=unknown)["levels"]["slices"]["counts"]
    assert sum(fewer.values()) == 2 * 40
    assert fewer["normal"] < normal


def test_thresholds_are_of_validation_patients() -> None:
    before = value(metrics(), "vertebrae", MULTITASK, "blastic_sensitivity_at")
    column, noisy = "p_class_blastic", {}
    for name, table in WHOLE.items():
        loud = (table["split"] == "validation") & (table["bone_class"] != "blastic")
        noisy[name] = table.assign(**{column: np.where(loud, 0.95, table[column])})
    made = metrics(predictions=noisy)
    assert before == 1
    assert value(made, "vertebrae", MULTITASK, "blastic_sensitivity_at") == 0  # no test vertebra is above 0.95
    assert value(made, "vertebrae", MULTITASK, "blastic_specificity_at") == 1
    assert value(made, "vertebrae", MULTITASK, "blastic_sensitivity") == 1


def test_what_is_not_usable_is_left_out_and_counted() -> None:
    rows = LABELS["split"].eq("test") & LABELS["bone_class"].eq("mixed")
    made = metrics(labels=LABELS.assign(usable=~rows, reason=np.where(rows, "lesion_too_small", "")))
    assert made["left_out"] == {"lesion_too_small": 10}
    assert made["levels"]["vertebrae"]["counts"]["mixed"] == 0
    assert value(made, "vertebrae", MULTITASK, "mixed_sensitivity") is None
    assert value(made, "vertebrae", MULTITASK, "lytic_sensitivity") == 1
    for figure in ("macro_sensitivity", "macro_auc", "macro_f1", "accuracy"):  # would be of three classes
        assert value(made, "vertebrae", MULTITASK, figure) is None


def test_sides_are_measured_where_they_are_known() -> None:
    sides = metrics()["levels"]["vertebrae"]["posterolateral"]
    assert sides["none_sensitivity"]["value"] == 1
    assert sides["none_specificity"]["value"] == 0
    nothing = metrics(labels=LABELS.assign(posterolateral=-1))["levels"]["vertebrae"]["posterolateral"]
    assert nothing["macro_f1"]["n"] == 0


def test_of_one_class_alone_there_are_no_figures() -> None:
    """As where only vertebrae have labels: every network that says normal of everything would have 1.00."""
    data = labelled_as_published(DATA)
    block = metrics(labels=labels_of(data), known=known_of(data))["levels"]["slices"]
    assert block["counts"] == {"normal": 30, "blastic": 0, "mixed": 0, "lytic": 0}
    assert block["sides"] == {"none": 30, "one side": 0, "both sides": 0}
    groups = (block["networks"][MULTITASK], block["networks"][BASELINE], block["differences"], block["posterolateral"])
    assert [cell["value"] for figures in groups for cell in figures.values()] == [None] * (3 * (4 * 7 + 5) + 7)


def test_a_vertebra_without_an_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="no prediction"):
        metrics(predictions=WHOLE | {BASELINE: WHOLE[BASELINE].iloc[1:]})
