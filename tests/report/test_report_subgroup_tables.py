"""Groups on the cohort's page: in their order, with patients, and without figures where there are too few."""

from dataclasses import replace

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.evaluation.texts import estimate_text
from vertegrade.report.subgroup_tables import FEWEST_PATIENTS, STRATA, subgroup_tables
from vertegrade.settings.evaluation import EvaluationSettings

COHORT = make_cohort(40)
SEXES = {scan: ["F" if n % 3 else "M", "60-69" if n < 9 else ""] for n, scan in enumerate(COHORT.scans["scan_id"])}
TABLES = replace(COHORT.tables(), subjects=SEXES)
METRICS = {
    name: evaluate(getattr(COHORT, name), TABLES, EvaluationSettings(bootstrap_resamples=20), 1, 7, name)
    for name in ("dae", "pca")
}
TABLE = {table["title"]: table for table in subgroup_tables(METRICS)}


def test_there_is_a_table_for_each_kind_with_counts_before_figures() -> None:
    assert [*TABLE] == [title for _, title in STRATA]
    assert all(table["heads"][1:4] == ["Patients", "Vertebrae", "Fractured"] for table in TABLE.values())
    assert all(len(row["cells"]) == len(table["heads"]) - 1 for table in TABLE.values() for row in table["rows"])


def test_a_row_has_the_figures_of_its_group_and_the_auc_of_the_other_methods() -> None:
    table = TABLE["Sex"]
    assert table["heads"][4] == "DAE: ROC AUC"
    assert table["heads"][-1] == "PCA: ROC AUC"
    cells = {row["name"]: row["cells"] for row in table["rows"]}
    for name, head, figure in (("dae", 3, "auc"), ("dae", 4, "sensitivity"), ("pca", -1, "auc")):
        block = METRICS[name]["splits"]["test"]["by_sex"]["female"]
        assert cells["female"][head] == estimate_text(block[figure])


def test_a_group_of_few_patients_has_counts_alone() -> None:
    few = {row["name"]: row["cells"] for row in TABLE["Age, years"]["rows"]}
    assert int(few["60-69"][0]) < FEWEST_PATIENTS <= int(few["not known"][0])
    assert set(few["60-69"][3:]) == {"too few"}
    assert "too few" not in few["not known"]
    assert [*few] == ["60-69", "not known"]


def test_a_kind_of_which_nothing_is_known_says_so() -> None:
    metrics = {"dae": evaluate(COHORT.dae, COHORT.tables(), EvaluationSettings(bootstrap_resamples=20), 1, 7, "dae")}
    unknown = {table["title"]: table["unknown"] for table in subgroup_tables(metrics)}
    assert unknown["Sex"]
    assert unknown["Age, years"]
    assert not unknown["Level"]
    assert not unknown["Maker of the scanner"]


def test_no_figure_of_a_shape_needs_intact_vertebrae_of_that_shape() -> None:
    assert not [head for head in TABLE["Shape"]["heads"] if "Specificity" in head or "coverage" in head]
