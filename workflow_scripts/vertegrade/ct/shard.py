"""The scans of a shard, each converted in a child process: a crash or a hang costs one scan.

Decoders of compressed pixels are C code that may get damaged streams. One process serves the whole shard and is
replaced where it ended, so that it is started (a fork, milliseconds) once. Messages between the two are JSON, never
pickle.
"""

import json
import multiprocessing
import resource
import signal
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import convert_scan, refused_row, scan_files
from vertegrade.reasons import Refused
from vertegrade.settings.ct import CtSettings

# Signals that a process causes itself. All others come from outside (the batch system, the kernel short of memory, a
# person) and say nothing about the scan.
OWN_FAULTS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP)
CANNOT_WRITE = "cannot_write"  # key of an answer that is no row: a full disk, for one


class WorkerKilledError(RuntimeError):
    """The child process was ended from outside: the job fails, and may be submitted again with more memory."""


def convert_shard(rows: Iterable[ScanRow], folder: Path, settings: CtSettings) -> Iterator[dict[str, Any]]:
    """Convert scans into `folder`, one after the other; yields each one's row of tables.SCANS.

    A scan whose reading crashes, hangs (ct.scan_seconds) or wants too much memory (ct.memory_mb) is a failed one.
    OSError where a volume cannot be written, WorkerKilledError where the process is ended from outside.
    """
    worker = None
    try:
        for row in rows:
            worker = worker or _Worker(folder, settings)
            state = worker.convert(row)
            if state is None:
                code = worker.end()
                worker = None
                _remove_rests(row, folder)
                state = refused_row(row, _fault(code, row, settings))
            yield state
    finally:
        if worker:
            worker.end()


class _Worker:
    """A forked process that converts the scans that it is sent."""

    def __init__(self, folder: Path, settings: CtSettings) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._pipe, folder, settings), daemon=True)
        self._process.start()
        theirs.close()

    def convert(self, row: ScanRow) -> dict[str, Any] | None:
        """The scan's row, None where the process ended over it."""
        try:
            self._pipe.send_bytes(json.dumps(asdict(row)).encode())
            answer: dict[str, Any] = json.loads(self._pipe.recv_bytes())
        except (EOFError, ConnectionError):
            return None
        if CANNOT_WRITE in answer:
            raise OSError(*answer[CANNOT_WRITE])
        return answer

    def end(self) -> int:
        """Let the process end; its exit code, negative for a signal."""
        self._pipe.close()
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        return code or 0


def _serve(pipe: Connection, parents: Connection, folder: Path, settings: CtSettings) -> None:
    """The child: convert each scan that comes until the parent closes its end."""
    parents.close()  # or the end of the parent would never be seen
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + settings.memory_mb * 2**20
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump contains the patient's data
    while True:
        try:
            row = ScanRow(**json.loads(pipe.recv_bytes()))
        except EOFError:
            return
        signal.alarm(settings.scan_seconds)  # its default action ends the process, wherever it is, parent or not
        try:
            state = convert_scan(row, folder, settings)
        except OSError as error:
            state = {CANNOT_WRITE: [error.errno, error.strerror, error.filename]}
        except MemoryError:
            state = refused_row(
                row,
                Refused(
                    "too_much_memory",
                    f"reading needs more than ct.memory_mb = {settings.memory_mb}; look at the files, or raise it",
                ),
            )
        signal.alarm(0)
        pipe.send_bytes(json.dumps(state).encode())


def _fault(code: int, row: ScanRow, settings: CtSettings) -> Refused:
    """Why a process that ended over a scan did so."""
    if code == -signal.SIGALRM:
        return Refused(
            "took_too_long",
            f"reading took longer than ct.scan_seconds = {settings.scan_seconds}; look at the files, or raise it",
        )
    if code < 0 and -code not in OWN_FAULTS:
        raise WorkerKilledError(
            f"{row.scan_id}: its process was ended from outside (signal {-code}), perhaps for lack of memory on this "
            "machine; give the job more"
        )
    return Refused(
        "conversion_crashed",
        f"the process that read it crashed (exit {code}); copy the series again, or export it uncompressed",
    )


def _remove_rests(row: ScanRow, folder: Path) -> None:
    """Temporary and finished files that a process left which ended within a scan."""
    for file in scan_files(row, folder):
        file.unlink(missing_ok=True)
        for rest in folder.glob(f".tmp-*-{file.name}"):
            rest.unlink()
