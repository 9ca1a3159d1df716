"""Which pictures the script of the rivals bends and judges."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.script_jobs import run_script
from helpers.synthetic_predictions import make_cohort
from vertegrade.drawn_tables import COUNTERFACTUALS, LOSSES
from vertegrade.tables import CROPS, LANDMARKS, MEASUREMENTS, empty_table


class Seen(Exception):
    """What a script was to be seen doing was seen; the rest need not run."""


def test_suspicious_vertebrae_that_were_drawn_beside_the_others_are_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = make_cohort(4).crops[["patient_id", "scan_id", "vertebra"]].head(3)
    strips = keys.loc[keys.index.repeat(4)].assign(row=np.repeat(range(3), 4), picture=[0, 1, 2, 3] * 3)
    strips = strips.assign(counted=strips["row"] < 2, **dict.fromkeys(LOSSES, 0.1))
    crops = keys.assign(crop=range(3), evaluable=True)
    measured = keys.assign(evaluable=True, height_loss=0.0, height_anterior_mm=20.0)
    tables = {id(COUNTERFACTUALS): strips, id(CROPS): crops, id(MEASUREMENTS): measured}
    tables[id(LANDMARKS)] = empty_table(LANDMARKS)
    monkeypatch.setattr("vertegrade.tables.read_table", lambda path, schema: tables[id(schema)])
    monkeypatch.setattr("vertegrade.tables.read_tables", lambda paths, schema: tables[id(schema)])
    images = np.arange(3, dtype=np.int16)[:, None, None, None, None] * np.ones((3, 6, 1, 4, 4), np.int16)
    monkeypatch.setattr("vertegrade.arrays.read_array", lambda path: images)
    seen: dict[str, Any] = {}
    monkeypatch.setattr("vertegrade.graders.dae.shown.shown_vertebrae", lambda rows, *_: seen.update(rows=rows))

    monkeypatch.setattr("vertegrade.localizer.networks.load_refiner", lambda *_: None)

    def rivals(own: np.ndarray, shown: Any, losses: np.ndarray, heights: Any, rounds: int) -> None:
        seen.update(own=own, losses=losses, rounds=rounds)
        raise Seen

    monkeypatch.setattr("vertegrade.evaluation.rival.rivals", rivals)
    inputs: dict[str, Any] = {"images": "i", "strips": "s", "refiner": "r", "landmarks": [], "measurements": []}
    inputs |= {"pixels": ["p"], "frames": ["f"], "crops": ["c"]}
    with pytest.raises(Seen):
        sections = ["crop", "dae.model", "dae.counterfactual"]
        run_script(tmp_path, "rivals", inputs, {"images": "o", "figures": "f"}, sections=sections)
    assert seen["own"][:, 0, 0].tolist() == [0, 1]
    assert seen["losses"].shape == (2, 4, 3)
    assert seen["rounds"] == 3
    pd.testing.assert_frame_equal(seen["rows"][["scan_id", "vertebra"]], keys[["scan_id", "vertebra"]].head(2))
