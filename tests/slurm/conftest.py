"""A cluster for the tests of a file, where this machine has SLURM's programs."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from helpers.cluster import Cluster, missing, running
from helpers.needed import lacking


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Four nodes of a SLURM of our own: cpu1, cpu2 and, with a GPU that is none, gpu1, gpu2."""
    if missing():
        lacking(f"SLURM is not here ({', '.join(missing())}): apt-get install slurmctld slurmd slurm-client munge")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("the results to compare with were made on two threads, and here is one core")
    # Sockets need short paths, which pytest's are not.
    with TemporaryDirectory(prefix="slurm-") as folder, running(Cluster(Path(folder))) as ours:
        yield ours
