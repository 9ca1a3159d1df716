"""Method `fusion`: latents of both parts side by side, for the vertebrae that both know."""

import numpy as np
import pandas as pd

from vertegrade.graders.fusion.definition import fusion_sha256
from vertegrade.graders.fusion.latents import fused_latents
from vertegrade.tables import LATENTS, check_table, empty_table

DAE, POINTS = "a" * 64, "b" * 64


def latents(vertebrae: list[int], length: int, sha: str, evaluable: list[bool], reason: str, errors: int = 0):
    count = len(vertebrae)
    table = pd.DataFrame(
        {
            "patient_id": "p",
            "scan_id": "s",
            "vertebra": vertebrae,
            "crop": range(count),
            "evaluable": evaluable,
            "reason": ["" if well else reason for well in evaluable],
            "model_sha256": sha,
            "label_confidence": 0.9,
            "flags": "contrast",
        }
    )
    table["z"] = pd.Series([np.full(length, v, np.float32) for v in vertebrae], dtype=object)
    if errors:
        table["z_errors"] = pd.Series([np.arange(errors * length, dtype=np.float32) for _ in vertebrae], dtype=object)
    return check_table(table[[name for name in LATENTS.columns if name in table]], LATENTS, "made")


def test_latents_stand_side_by_side_by_vertebra() -> None:
    dae = latents([20, 21, 22], 4, DAE, [True, False, True], "at_border")
    points = latents([22, 21, 20], 2, POINTS, [False, False, True], "no_points", errors=3)
    both = fused_latents(dae, points)
    assert both["vertebra"].tolist() == [20, 21, 22]
    assert both["evaluable"].tolist() == [True, False, False]
    assert both["reason"].tolist() == ["", "at_border", "no_points"]
    np.testing.assert_array_equal(both["z"][0], [20, 20, 20, 20, 20, 20])
    np.testing.assert_array_equal(both["z"][2], [22, 22, 22, 22, 22, 22])
    assert set(both["model_sha256"]) == {fusion_sha256(DAE, POINTS)}
    assert both["flags"].eq("contrast").all()


def test_errors_are_of_the_points_alone() -> None:
    both = fused_latents(latents([20], 4, DAE, [True], ""), latents([20], 2, POINTS, [True], "", errors=3))
    errors = both["z_errors"][0].reshape(3, 6)
    assert (errors[:, :4] == 0).all()
    np.testing.assert_array_equal(errors[:, 4:], np.arange(6).reshape(3, 2))


def test_a_vertebra_that_one_part_does_not_know_is_left_out() -> None:
    both = fused_latents(latents([20, 21], 4, DAE, [True] * 2, ""), latents([21], 2, POINTS, [True], "", errors=3))
    assert both["vertebra"].tolist() == [21]


def test_other_parts_have_another_name() -> None:
    assert len({fusion_sha256(*pair) for pair in ((DAE, POINTS), (POINTS, DAE), (DAE, DAE))}) == 3


def test_no_vertebra_gives_an_empty_table() -> None:
    empty = empty_table(LATENTS)
    assert len(fused_latents(empty, empty.assign(z_errors=pd.Series([], dtype=object)))) == 0
