"""A SLURM of its own on loopback, for as long as a block lasts: own key, ports, state and ids, nothing left behind.

One machine plays several nodes: each has its own slurmd under its own name and port. Needs Debian's slurmctld, slurmd,
slurm-client and munge; no root, no configuration of the machine, and no other SLURM is touched.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

CLIENTS = ["sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare"]
PROGRAMS = ["setpriv", "munged", "slurmctld", "slurmd", *CLIENTS]
NODES = {"cpu1": "", "cpu2": "", "gpu1": "Gres=gpu:1", "gpu2": "Gres=gpu:1"}
# Any character device will do as a GPU: SLURM counts it and sets CUDA_VISIBLE_DEVICES, nobody opens it.
DEVICES = ["NodeName=gpu[1-2] Name=gpu File=/dev/null"]
# Generous, for a loaded machine: a daemon that never answers still ends in an error that shows its log.
PATIENCE_S = 180.0
# Each process of a test session looks in a corner of its own.
PORTS = count(20000 + 10 * (os.getpid() % 1000))
CONFIGURATION = """
ClusterName=vertegrade
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=60
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
ReturnToService=2
SlurmdTimeout=0
MinJobAge=3600
KillWait=60
{nodes}
PartitionName=cpu Nodes=cpu1,cpu2 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=gpu1,gpu2 MaxTime=INFINITE State=UP
{more}
"""


def missing(*more: str) -> list[str]:
    """Programs of SLURM, and others that are named, that this machine lacks."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in [*PROGRAMS, *more] if shutil.which(name, path=path) is None]


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Return once `condition()` is true; TimeoutError that names `what` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.2)


class Cluster:
    """Daemons of a running cluster, and its commands."""

    def __init__(
        self, folder: Path, more: str = "", nodes: dict[str, str] = NODES, devices: Sequence[str] = DEVICES
    ) -> None:
        """more: lines of slurm.conf. nodes: what slurm.conf says of each. devices: lines of gres.conf."""
        self.folder, self.nodes = folder, nodes
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.environment["PATH"] = f"{folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
        self._configure(more, devices)
        for program in CLIENTS:
            self.wrap(program)

    def _configure(self, more: str, devices: Sequence[str]) -> None:
        host, ports = socket.gethostname(), free_ports(len(self.nodes) + 1)
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=64000 {gres}"
            for (name, gres), port in zip(self.nodes.items(), ports[1:], strict=True)
        ]
        text = CONFIGURATION.format(
            host=host,
            user=getpass.getuser(),
            folder=self.folder,
            control_port=ports[0],
            more=more,
            nodes="\n".join(nodes),
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text("\n".join([*devices, ""]))
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "state").mkdir()
        for name in self.nodes:
            (self.folder / f"spool-{name}").mkdir()

    def wrap(self, program: str, before: str = "") -> None:
        """Let a line of shell run before each call of a program.

        Snakemake's plugin hides SLURM_CONF from what it starts; a real cluster's programs find theirs in /etc.
        """
        real, wrapper = shutil.which(program), self.folder / "bin" / program
        wrapper.parent.mkdir(exist_ok=True)
        setting = f"SLURM_CONF={self.folder}/slurm.conf; export SLURM_CONF"
        wrapper.write_text(f'#!/bin/sh\n{setting}\n{before}\nexec {real} "$@"\n')
        wrapper.chmod(0o755)

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        self.start_munge()
        self.start_nodes()

    def start_munge(self) -> None:
        """Start the daemon by which the others know each other."""
        munge = ["munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key"]
        munge += [f"--{part}-file={self.folder}/munge.{part}" for part in ("pid", "log", "seed")]
        self.start_daemon("munged", [*munge, f"--socket={self.folder}/munge.socket"])
        wait_for((self.folder / "munge.socket").exists, "munged's socket")

    def start_nodes(self) -> None:
        """Start controller and nodes, and wait until every node is idle."""
        self.start_daemon("slurmctld", ["slurmctld", "-D", "-i"])
        for name in self.nodes:
            self.start_daemon(name, ["slurmd", "-D", "-N", name])
        try:
            wait_for(self._all_idle, "every node idle")
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.logs()}") from error

    def start_daemon(self, name: str, command: list[str]) -> None:
        """Start a daemon, its output in a file; it is told to stop also when this process dies without a word."""
        with (self.folder / f"{name}.out").open("ab") as output:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )

    def _all_idle(self) -> bool:
        run = self.command("sinfo", "--noheader", "--Node", "--format=%N %T", check=False)
        return run.returncode == 0 and {"idle"} == {line.split()[1] for line in run.stdout.splitlines()}

    def command(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of SLURM's commands."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=check, timeout=120)

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that the controller remembers, in the order of submission: SLURM's own words for each."""
        run = self.command("scontrol", "show", "job", "--oneliner", check=False)
        lines = [line.split() for line in run.stdout.splitlines() if line.startswith("JobId=")]
        jobs = [dict(word.split("=", 1) for word in words if "=" in word) for words in lines]
        return sorted(jobs, key=lambda job: int(job["JobId"]))

    def job(self, number: str) -> dict[str, str]:
        """One job."""
        return next(job for job in self.jobs() if job["JobId"] == number)

    def crash(self, node: str) -> None:
        """What a power cut does to a node: its slurmd and all that runs on it die at once; then SLURM hears of it."""
        self.daemons[node].kill()
        mine = processes_of(self.folder / "slurm.conf")
        running = [job["JobId"] for job in self.jobs() if job["NodeList"] == node and job["JobState"] == "RUNNING"]
        # Each job's watcher first, so that nobody is left to report that the job's processes died.
        watchers = [pid for pid in mine if title(pid).startswith(tuple(f"slurmstepd: [{job}." for job in running))]
        for process in watchers + processes_of(self.folder / "slurm.conf", f"SLURMD_NODENAME={node}"):
            kill(process)
        self.command("scontrol", "update", f"nodename={node}", "state=down", "reason=crashed")

    def logs(self, last: int = 3000) -> str:
        """The last characters of all daemons' logs."""
        files = [*sorted(self.folder.glob("*.log")), *sorted(self.folder.glob("*.out"))]
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-last:]}" for path in files)

    def stop(self) -> None:
        """End all jobs and daemons, by force where they do not go."""
        self.command("scancel", f"--user={getpass.getuser()}", check=False)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for process in processes_of(self.folder / "slurm.conf"):
            kill(process)


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster runs within the block."""
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on, below those that the kernel hands out; never the same ones twice."""
    found: list[int] = []
    while len(found) < number:
        port = next(PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def processes_of(configuration: Path, *variables: str) -> list[int]:
    """Processes of this user whose environment names this cluster's configuration and holds all the variables."""
    wanted = {f"SLURM_CONF={configuration}".encode(), *(each.encode() for each in variables)}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = set((folder / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        if wanted <= environment and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def title(process: int) -> str:
    """Command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def kill(process: int) -> None:
    """SIGKILL, where the process is still there."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
