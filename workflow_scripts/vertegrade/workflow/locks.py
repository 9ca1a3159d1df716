"""Locks of runs in one folder: Snakemake removes all of them when it ends, also those of a run that still works.

So a question asked while a run worked (`snakemake why`, `snakemake audit`) opened that run's folder to a second run.
Read at parse time: imports nothing but Snakemake.
"""

import os
from pathlib import Path

from snakemake.persistence.file import FilePersistence

FOLDER = Path(".snakemake", "locks")
WORKS = "A run works here (or was killed: docs/how-to/cluster.md): what it is about to make is reported as not there."


def remove_own_locks_only() -> None:
    """Make each Snakemake of this process remove, when it ends, the locks that it took and no others.

    `snakemake --unlock` still removes all of them.
    """
    if FilePersistence.unlock is not _remove_own:
        FilePersistence.cleanup_locks = FilePersistence._delete_locks
        FilePersistence.unlock = _remove_own


def _remove_own(persistence: FilePersistence) -> None:
    for file in persistence._lockfile.values():
        Path(file).unlink(missing_ok=True)
    persistence._lockfile.clear()


def is_locked() -> bool:
    """Whether a run works in the current folder, or was killed there."""
    return FOLDER.is_dir() and any(os.scandir(FOLDER))
