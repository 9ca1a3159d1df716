"""Figures of where the severity comes from, from maps made by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from vertegrade.drawn_tables import AREAS, LOOKS, LOOKS_AT
from vertegrade.evaluation import maps as module
from vertegrade.evaluation.looks_at import Map, looks_at_metrics, looks_at_table, rank_correlations
from vertegrade.graders.dae.attribution import Sight
from vertegrade.levels import LABEL_OF
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import empty_table

SETTINGS = EvaluationSettings(bootstrap_resamples=50)
COUNT = 8


def table() -> pd.DataFrame:
    """Half of a crop is body, a quarter neighbours; a map of +2 on the body, and +1 and -1 on neighbours."""
    areas = np.zeros((COUNT, 4, 4), np.int8)
    areas[:, :2], areas[:, 2] = AREAS.index("body"), AREAS.index("neighbours")
    values = np.zeros((COUNT, 4, 4))
    values[:, :2] = 2
    values[:, 2] = [1, -1, 1, -1]
    values[0] *= 3
    rows = pd.DataFrame(
        {"patient_id": [f"p{n}" for n in range(COUNT)], "scan_id": [f"s{n}" for n in range(COUNT)],
         "vertebra": LABEL_OF["L1"], "grade": [0, 0, 0, 1, 1, 2, 2, 3], "severity": 1.0}
    )  # fmt: skip
    scores = values.sum(axis=(1, 2))
    agreed = [np.full(COUNT, 0.9), np.full(COUNT, 0.8), None]
    found = {name: Map(values, scores, of) for name, of in zip(LOOKS, agreed, strict=True)}
    return looks_at_table(rows, found, areas)


def test_shares_and_sums_of_areas() -> None:
    gradient = table().query("map == 'gradient'")
    assert set(gradient["area_body"]) == {0.5}
    np.testing.assert_allclose(gradient["share_body"], 16 / 20)
    np.testing.assert_allclose(gradient["share_neighbours"], 4 / 20)
    assert gradient["grades_body"].tolist() == [48.0, *[16.0] * 7]
    assert set(gradient["grades_neighbours"]) == {0.0}
    shares = gradient[[f"share_{area}" for area in AREAS]].sum(axis=1)
    np.testing.assert_allclose(shares, 1)
    assert table().query("map == 'occlusion'")["grades_body"].isna().all()  # its patches overlap


def test_metrics_are_means_by_grade_with_intervals() -> None:
    metrics = looks_at_metrics(table(), {"shuffled_gradient": np.array([0.1, 0.3])}, SETTINGS, 1)
    assert metrics["vertebrae"] == COUNT
    assert metrics["checks"] == {"shuffled_gradient": pytest.approx(0.2)}
    gradient = metrics["maps"]["gradient"]
    assert gradient["agreement"] == pytest.approx(0.9)
    assert {grade: of["vertebrae"] for grade, of in gradient["grades"].items()} == {
        "all": 8, "1-3": 5, "0": 3, "1": 2, "2": 2, "3": 1
    }  # fmt: skip
    body = gradient["grades"]["all"]["grades"]["body"]
    assert body["value"] == pytest.approx(20)
    assert body["low"] < 20 < body["high"]
    assert gradient["grades"]["1-3"]["grades"]["body"]["value"] == pytest.approx(16)
    assert gradient["grades"]["3"]["score"]["value"] is None  # one vertebra says nothing of its grade
    assert metrics["maps"]["occlusion"]["grades"]["all"]["grades"] is None
    assert metrics["maps"]["pca"]["agreement"] is None


def test_where_nothing_is_graded_as_fractured_a_map_has_the_figures_of_its_kind() -> None:
    """Without a vertebra, too, the sums of an area are a map's whose pixels add up, and no other's."""
    nobody = looks_at_metrics(table().assign(grade=0), {}, SETTINGS, 1)["maps"]
    adding = {name: nobody[name]["grades"]["1-3"]["grades"] is not None for name in LOOKS}
    assert adding == {"gradient": True, "occlusion": False, "pca": True}
    assert nobody["gradient"]["grades"]["1-3"]["grades"]["body"]["value"] is None


def test_sway_is_what_an_area_does_in_single_vertebrae() -> None:
    rows = table()
    rows.loc[rows["map"] == "gradient", "grades_neighbours"] = [1.0, -1.0] * 4
    figures = looks_at_metrics(rows, {}, SETTINGS, 1)["maps"]["gradient"]["grades"]["all"]
    assert figures["grades"]["neighbours"]["value"] == pytest.approx(0)
    assert figures["sway"]["neighbours"]["value"] == pytest.approx(1)


def test_rank_correlations() -> None:
    one = np.random.default_rng(0).normal(size=(3, 5, 5))
    other = np.stack([np.exp(one[0]), -one[1], np.zeros((5, 5))])
    np.testing.assert_allclose(rank_correlations(one, other), [1, -1, 0])
    assert rank_correlations(one[:0], other[:0]).shape == (0,)


def test_no_vertebra_has_no_figures() -> None:
    metrics = looks_at_metrics(empty_table(LOOKS_AT), {"rank_correlation": np.zeros(0)}, SETTINGS, 1)
    assert metrics["vertebrae"] == 0
    assert metrics["checks"]["rank_correlation"] is None


class Sum(torch.nn.Module):
    """The first half of an image counts, by learned weights that differ."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.zeros(32, 32)
        weights[:16] = torch.linspace(1, 2, 16)[:, None]
        self.weights = torch.nn.Parameter(weights, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, 0] * self.weights).sum(dim=(1, 2))[:, None]


def test_checks_tell_a_learned_map_from_one_of_shuffled_weights() -> None:
    images = np.random.default_rng(0).uniform(0.2, 1, (4, 1, 32, 32)).astype(np.float32)
    sight = Sight(Sum(), np.ones(1), torch.device("cpu"))
    found, checks = module.maps_of_dae(sight, images, np.zeros_like(images), 1.5, 3)
    assert found["gradient"].values[:, :16].min() > 0
    np.testing.assert_allclose(found["gradient"].scores, sight.scores(images))
    assert checks["missing_grades"].max() < 1e-3
    assert checks["rank_correlation"].min() > 0.8
    assert np.abs(checks["shuffled_gradient"]).max() < 0.3
    assert len(checks["shuffled_occlusion"]) == 4
    agreed = found["gradient"].agreement
    assert agreed is not None
    assert agreed.min() > 0.99
