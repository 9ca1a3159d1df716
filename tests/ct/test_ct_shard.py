"""The child process that reads a shard: one for all scans, replaced where it ended, limited, not blamed wrongly."""

import errno
import faulthandler
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest

from helpers.series import body_hu, write_series
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct import convert, shard
from vertegrade.ct.shard import WorkerKilledError, convert_shard
from vertegrade.ct.volume import Volume
from vertegrade.settings.ct import CtSettings


@pytest.fixture
def rows(tmp_path: Path) -> list[ScanRow]:
    """Four rows of one good scan; `out` is there."""
    folder = write_series(tmp_path / "in", body_hu())
    (tmp_path / "out").mkdir()
    return [ScanRow(f"scan-{number}", "patient-1", str(folder)) for number in range(4)]


def states(rows: list[ScanRow], tmp_path: Path) -> list[dict]:
    return list(convert_shard(rows, tmp_path / "out", CtSettings()))


def test_one_limited_process_serves_all_and_is_replaced_after_a_crash(
    rows: list[ScanRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = shard.convert_scan

    def watched(row: ScanRow, folder: Path, settings: CtSettings) -> dict:
        if row.scan_id == "scan-1":
            faulthandler.disable()  # pytest's
            (folder / ".tmp-1-scan-1_ct.nii.gz").write_bytes(b"half")
            (folder / "scan-1_ct.json").write_bytes(b"whole")
            signal.raise_signal(signal.SIGSEGV)
        memory, core = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_CORE))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()  # less than the parent may
        return genuine(row, folder, settings) | {"message": f"{os.getpid()} {memory - used} {core}"}

    monkeypatch.setattr(shard, "convert_scan", watched)
    found = states(rows, tmp_path)
    assert [state["state"] for state in found] == ["done", "failed", "done", "done"]
    assert "the process that read it crashed (exit -11); copy the series again" in found[1]["message"]
    pids, memory, core = zip(*(state["message"].split() for state in found if state["state"] == "done"), strict=True)
    assert pids[0] != pids[1] == pids[2]
    assert str(os.getpid()) not in pids
    assert all(0 < int(left) < 2 * CtSettings().memory_mb * 2**20 for left in memory)
    assert set(core) == {"0"}
    assert not [file.name for file in (tmp_path / "out").iterdir() if "scan-1" in file.name]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_process_killed_from_outside_fails_the_job_and_not_the_scan(
    number: signal.Signals, rows: list[ScanRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(shard, "convert_scan", killed)
    with pytest.raises(WorkerKilledError, match=rf"scan-0: .* ended from outside \(signal {int(number)}\)"):
        states(rows, tmp_path)


def test_a_full_disk_fails_the_job_and_not_the_scan(
    rows: list[ScanRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, volume: Volume) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(convert, "write_volume", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*scan-0_ct\.nii\.gz'"):
        states(rows, tmp_path)
    assert not list((tmp_path / "out").iterdir())
    assert not multiprocessing.active_children()


def test_the_process_ends_with_the_shard(rows: list[ScanRow], tmp_path: Path) -> None:
    reading = convert_shard(rows, tmp_path / "out", CtSettings())
    next(reading)
    assert len(multiprocessing.active_children()) == 1
    reading.close()
    assert not multiprocessing.active_children()
