"""The profile's default on clusters that keep accounts: states by `sacct`, and the efficiency report.

Needs a database server too, so it runs only where it is asked for: VERTEGRADE_SLURM_ACCOUNTING=1, with Debian's
mariadb-server, slurmdbd and slurm-wlm-mysql-plugin.
"""

import csv
import getpass
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from helpers.cluster import Cluster, free_ports, missing, running, wait_for
from helpers.copies import assert_whole, copy_of
from helpers.slurm_project import Project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VERTEGRADE_SLURM_ACCOUNTING" not in os.environ, reason="set VERTEGRADE_SLURM_ACCOUNTING=1"),
]
SERVER = ["slurmdbd", "mariadbd", "mariadb", "mariadb-install-db"]
STORAGE = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
AccountingStoreFlags=job_comment
AccountingStorageEnforce=associations
"""
DATABASE = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""
TABLES = "create database slurm; create user slurm@'%' identified by 'slurm'; grant all on slurm.* to slurm@'%'"


class AccountedCluster(Cluster):
    """A cluster that keeps its accounts in a MariaDB of its own."""

    def __init__(self, folder: Path) -> None:
        self.port, self.database_port = free_ports(2)
        super().__init__(folder, STORAGE.format(port=self.port, folder=folder))

    def start(self) -> None:
        """Start the database and its daemon before all else."""
        self.start_munge()
        self._start_database()
        settings = DATABASE.format(
            folder=self.folder, port=self.port, user=getpass.getuser(), database_port=self.database_port
        )
        (self.folder / "slurmdbd.conf").write_text(settings)
        (self.folder / "slurmdbd.conf").chmod(0o600)
        self.start_daemon("slurmdbd", ["slurmdbd", "-D"])
        wait_for(lambda: self.command("sacctmgr", "show", "cluster", check=False).returncode == 0, "slurmdbd's answer")
        self.command("sacctmgr", "--immediate", "add", "cluster", "vertegrade")
        self.command("sacctmgr", "--immediate", "add", "account", "lab")
        self.command("sacctmgr", "--immediate", "add", "user", getpass.getuser(), "account=lab")
        self.start_nodes()

    def _start_database(self) -> None:
        data, me = f"--datadir={self.folder}/mysql", f"--user={getpass.getuser()}"
        self.command("mariadb-install-db", "--no-defaults", data, me, "--skip-test-db")
        ours = [f"--port={self.database_port}", f"--socket={self.folder}/mysql.socket", "--bind-address=127.0.0.1"]
        self.start_daemon("mariadbd", ["mariadbd", "--no-defaults", data, me, *ours])
        client = ["mariadb", "--no-defaults", f"--socket={self.folder}/mysql.socket"]
        wait_for(lambda: self.command(*client, "-e", "select 1", check=False).returncode == 0, "the database's answer")
        self.command(*client, "-e", TABLES)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if missing(*SERVER):
        pytest.skip(f"not here: {', '.join(missing(*SERVER))}")
    with TemporaryDirectory(prefix="slurm-") as folder, running(AccountedCluster(Path(folder))) as ours:
        yield ours


def test_states_by_sacct_and_the_efficiency_report(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    removed = [f"crops/{shard}{end}" for shard in (0, 1) for end in (".npy", "_frames.npy", ".parquet")]
    folder = copy_of(finished, tmp_path, *removed)
    project = Project(folder, cluster, status="sacct")
    report = ["--slurm-efficiency-report", "--slurm-efficiency-report-path", str(tmp_path / "report")]
    goals = ["results/crops/0.parquet", "results/crops/1.parquet"]
    output = project.finish(project.start(*goals, *report))
    assert "Unable to get the status" not in output
    assert_whole(folder, finished)
    (table,) = (tmp_path / "report").rglob("*.csv")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["RuleName"] for row in rows} == {"rule_crop_wildcards_0", "rule_crop_wildcards_1"}
    assert all(float(row["MaxRSS_MB"]) > 0 and float(row["CPU Efficiency (%)"]) > 0 for row in rows), rows


def test_check_cohort_knows_a_wrong_account_before_the_first_job(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path, cluster, status="sacct")  # field test C3
    profile = tmp_path / "slurm/profile.yaml"
    given = profile.read_text()
    assert '  # slurm_account: "my-account"' in given
    for account, last in (("lab", "no problem found"), ("nobodys", "1 problem(s)")):
        profile.write_text(given.replace('# slurm_account: "my-account"', f'slurm_account: "{account}"'))
        *told, end = project.check_cohort("tests/helpers/tiny.yaml")
        assert end == f"the phantom cohort: {last}", told
    (problem,) = [line for line in told if not line.startswith("note: ")]
    assert "Invalid account" in problem
    assert all(rule in problem for rule in ("train_dae (asks for slurm_account nobodys, ", "crop (", "measure ("))
