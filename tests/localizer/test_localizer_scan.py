"""What finds vertebrae of one scan, and with how many threads."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from vertegrade.cohort.sheet import ScanRow
from vertegrade.localizer import landmarks
from vertegrade.localizer.scan import finder
from vertegrade.reasons import Notes
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.threads import THREADS

SHIPPED = Path(__file__).resolve().parents[2] / "models/localizer"


def test_networks_find_with_as_many_threads_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = pd.DataFrame()
    monkeypatch.setattr(landmarks, "learned_landmarks", lambda *_: seen.assign(threads=[torch.get_num_threads()]))
    find = finder(LocalizeSettings(), SHIPPED, "cpu")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(THREADS + 1)
        assert find(ScanRow("a", "p", ""), None, Notes())["threads"].tolist() == [THREADS]  # type: ignore[arg-type]
        assert torch.get_num_threads() == THREADS + 1
    finally:
        torch.set_num_threads(before)
