"""Long jobs say how far they are, neither never nor all the time."""

import logging
from types import SimpleNamespace

import pytest

from vertegrade import progress as module
from vertegrade.progress import Progress, progress, spoken

LOG = logging.getLogger("vertegrade.test")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time as the test has it."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_line_every_half_minute_with_the_time_left(clock: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in progress(range(100), LOG, "scans"):
            clock.now += 7.0
    assert len(caplog.messages) == 19  # each fifth scan, but not after the last
    assert caplog.messages[0] == "scans: 5 of 100 (5 %), about 11 min left"
    assert caplog.messages[-1] == "scans: 95 of 100 (95 %), about 35 s left"


def test_a_short_job_says_nothing(clock: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert list(progress("abc", LOG, "pages")) == ["a", "b", "c"]
        assert list(progress([], LOG, "pages")) == []
    assert caplog.messages == []


def test_what_goes_on_reckons_with_its_own_speed_alone(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    told = Progress(LOG, "steps", 1000, first=900)
    with caplog.at_level(logging.INFO):
        clock.now += 40
        told.at(900)  # nothing is done yet: no speed is known
        told.at(910)
        clock.now += 400
        told.at(1000)  # nothing is left: the job says itself that it is done
    assert caplog.messages == ["steps: 910 of 1000 (91 %), about 6 min left"]


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (59, "59 s"), (61, "1 min"), (12_000, "3 h 20 min")])
def test_durations_are_said_plainly(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
