"""Start of a training: in this process, or by torchrun in one process for each GPU that the job has.

A grader's training is a `TrainingJob`: data that the other processes get as a file, and what to do with them.
"""

import ctypes
import logging
import os
import platform
import shlex
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import psutil
import torch
from pydantic import BaseModel
from torch import distributed

from vertegrade.files import write_text
from vertegrade.gpus import check_together, gpus_asked_for
from vertegrade.training.interruption import Interruption, TrainingInterrupted
from vertegrade.training.states import States
from vertegrade.workflow.code_hash import LoadedCode, packages_of
from vertegrade.workflow.job import Job, continue_log

log = logging.getLogger(__name__)
PATIENCE = timedelta(minutes=30)  # for another process that validates, saves or reads


class TrainingJob(BaseModel, ABC):
    """Files, settings and place of one training; its module hands the class to `join` where it is run by torchrun.

    method: whose training it is, that of rule `train_{method}`, with the settings `{method}.train`.
    metrics: written last, so that the training is complete where they are. log: of the rule. threads: of each process.
    These and the other fields here are what `common_fields` takes from the workflow's job.
    """

    method: ClassVar[str]
    states: States
    weights: Path
    metrics: Path
    log: Path
    seed: int
    device: str
    threads: int

    @abstractmethod
    def run(self) -> None:
        """Train and write weights and metrics, in this process; of several, the first one writes."""

    def start(self, resources: Any, batch_size: int) -> None:
        """Train in one process for each GPU that the job asked for, on this node or on all nodes of this SLURM job.

        resources: of a job of Snakemake. batch_size: samples per step, of all processes. Raises as `run` does;
        ValueError where such GPUs cannot train together, RuntimeError where a process failed, whose messages are in
        the log.
        """
        (processes, kind), nodes = gpus_asked_for(resources), resources.get("nodes", 1)
        if processes < 2:
            self.run()
            return
        check_together(self.method, processes, nodes, kind, batch_size)
        each = processes // nodes
        if self.device == "cuda" and (seen := torch.cuda.device_count()) < each:
            raise ValueError(
                f"train_{self.method} has {each} GPUs on each node, but torch sees {seen} on this one; of a GPU's "
                "slices (MIG) it sees one, and they cannot train together"
            )
        if nodes > 1 and "SLURM_JOB_ID" not in os.environ:
            raise ValueError(
                f"train_{self.method} asks for {nodes} nodes, which only a SLURM job has; set its resource nodes to 1"
            )
        share = self.model_copy(update={"threads": max(1, self.threads // each)})
        description = self.states.folder / "job.json"
        write_text(description, share.model_dump_json())
        self.metrics.unlink(missing_ok=True)  # of an earlier attempt, which would count as this one's
        command = _on_all_nodes(nodes, each, self.threads) + _torchrun(nodes, each)
        command += ["-m", type(self).__module__, str(description)]
        log.info("%d processes on %d node(s): %s", processes, nodes, shlex.join(command))
        status, reason = _watched(command)
        if self.metrics.exists():
            return
        if reason or status == 0:
            raise TrainingInterrupted(reason or "the processes stopped before the end")
        raise RuntimeError(f"training in {processes} processes failed (status {status}); the log above says why")


def common_fields(job: Job) -> dict[str, Any]:
    """The fields that every TrainingJob has, of a job of the workflow."""
    return {
        "states": States(folder=job.params.state_dir, code=job.params.code, packages=packages_of(job.rule)),
        "weights": job.output.weights,
        "metrics": job.output.metrics,
        "log": job.log_file,
        "seed": job.seed,
        "device": job.device,
        "threads": job.threads,
    }


def join(kind: type[TrainingJob], description: Path) -> None:
    """Be one of several processes. It also ends without an error where it was asked to stop, then without metrics."""
    job = kind.model_validate_json(description.read_text(encoding="utf-8"))
    LoadedCode(f"train_{job.method}", job.states.code, "")
    _end_with_parent(signal.SIGTERM)
    continue_log(job.log)
    if job.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if job.device == "cuda" else "gloo", timeout=PATIENCE)
    if distributed.get_rank():
        logging.getLogger().setLevel(logging.WARNING)
    try:
        job.run()
        distributed.barrier()
    except TrainingInterrupted:
        distributed.barrier()
    except Exception:
        log.exception("process %d of %d failed", distributed.get_rank(), distributed.get_world_size())
        raise
    finally:
        distributed.destroy_process_group()


def _torchrun(nodes: int, each: int) -> list[str]:
    """One torchrun on every node.

    It leaves SIGTERM and SIGUSR1 to the processes, which stop together after a step and save: torchrun itself would
    give up on them when a signal comes twice, and SLURM signals every process of a job.
    """
    meeting = ["--standalone"] if nodes == 1 else ["--rdzv-backend=c10d", f"--rdzv-endpoint={_endpoint()}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--signals-to-handle=SIGINT"]
    torchrun += [f"--nnodes={nodes}", f"--nproc-per-node={each}", *meeting]
    return ["sh", "-c", "trap '' TERM USR1; exec \"$@\"", "sh", *torchrun]


def _on_all_nodes(nodes: int, each: int, threads: int) -> list[str]:
    """`srun` within the job, with all that the job was given on each of its nodes."""
    if nodes == 1:
        return []
    srun = ["srun", "--overlap", "--kill-on-bad-exit", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return [*srun, f"--cpus-per-task={threads}", f"--gpus-per-node={each}"]


def _endpoint() -> str:
    """Where torchruns of several nodes connect: a free port of this node."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{platform.node()}:{probe.getsockname()[1]}"


def _watched(command: list[str]) -> tuple[int, str]:
    """Run a command to its end and pass signals on to all its processes; its status, and the signal or "".

    The processes are in their own sessions, so that a signal to this process's group reaches them only through us.
    """
    with Interruption() as interruption:
        process = subprocess.Popen(command, start_new_session=True, preexec_fn=lambda: _end_with_parent(signal.SIGKILL))
        told = False
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if interruption.received and not told:
                    told = True
                    _signal_all(signal.SIGTERM)
        finally:
            _signal_all(signal.SIGKILL)  # processes are left only where this process itself was interrupted
        return process.wait(), interruption.received


def _end_with_parent(number: signal.Signals) -> None:
    """Ask Linux for a signal when the process that started this one dies without a message (prctl(2))."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, number)


def _signal_all(number: signal.Signals) -> None:
    for process in psutil.Process().children(recursive=True):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
