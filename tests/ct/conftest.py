"""A good scan, and the convert step on a shard that holds it beside the scan that a test is about."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.bad_inputs import InShard
from helpers.series import body_hu, write_series
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.shard import convert_shard
from vertegrade.files import new_folder
from vertegrade.settings.ct import CtSettings
from vertegrade.tables import SCANS, check_table


def shard(rows: list[ScanRow], folder: Path, settings: CtSettings) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """What the script of the rule does: rows of tables.SCANS, and every file of the shard's folder by its name."""
    with new_folder(folder) as temporary:
        states = list(convert_shard(rows, temporary, settings))
    check_table(pd.DataFrame(states), SCANS, "scans")
    return states, {file.name: file.read_bytes() for file in folder.iterdir()}


@dataclass(frozen=True)
class Neighbour:
    """A good scan as its own shard of one converts it."""

    row: ScanRow
    state: dict[str, Any]
    files: dict[str, bytes]


@pytest.fixture(scope="session")
def neighbour(tmp_path_factory: pytest.TempPathFactory) -> Neighbour:
    """The good scan, alone."""
    folder = tmp_path_factory.mktemp("neighbour")
    row = ScanRow("good-1", "patient-2", str(write_series(folder / "in", body_hu(seed=9))))
    states, files = shard([row], folder / "out", CtSettings())
    assert states[0]["state"] == "done"
    return Neighbour(row, states[0], files)


@pytest.fixture
def in_shard(neighbour: Neighbour, tmp_path: Path) -> InShard:
    """`in_shard(path, **settings)`: the row of a scan, converted before a good one that must not notice it.

    A refused scan's message names its path and says what to do; it leaves no file. No message quotes what the header
    says of the person.
    """

    def convert(path: Path, series: str = "", **settings: Any) -> dict[str, Any]:
        scans = [ScanRow("scan-1", "patient-1", str(path), series=series), neighbour.row]
        out = tmp_path / "shard"
        (state, good), files = shard(scans, out, CtSettings(**settings))
        assert good == neighbour.state
        assert {name: data for name, data in files.items() if not name.startswith("scan-1")} == neighbour.files
        own = sorted(name for name in files if name.startswith("scan-1"))
        if state["state"] == "done":
            assert own == ["scan-1_ct.json", "scan-1_ct.nii.gz"]
        else:
            assert not own
            assert state["message"].startswith(f"{path}: ")
            assert re.search(r"[;,:] [^;]{10,}$", state["message"]), f"no remedy: {state['message']}"
        assert not [word for word in ("PLANTED", "Planted", "19010203") if word in str(state)]
        return state

    return convert
