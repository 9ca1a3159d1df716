"""The training of one workflow run as data, so that it runs in this process, or by torchrun in one for each GPU.

`python -m vertegrade.graders.dae.training_job FILE` is what torchrun starts: one process of the training described in
FILE.
"""

import ctypes
import hashlib
import json
import logging
import os
import platform
import shlex
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from pydantic import BaseModel
from torch import distributed

from vertegrade.arrays import read_array
from vertegrade.cohort.splits import in_split
from vertegrade.files import write_json, write_text
from vertegrade.gpus import check_together
from vertegrade.graders.dae.training import train_dae
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.tables import CROPS, PATIENT_SPLITS, read_table
from vertegrade.training.checkpoints import States
from vertegrade.training.interruption import Interruption, TrainingInterrupted
from vertegrade.workflow.code_hash import LoadedCode
from vertegrade.workflow.job import continue_log

log = logging.getLogger(__name__)
PATIENCE = timedelta(minutes=30)  # for a peer that validates, saves or reads


class TrainingJob(BaseModel):
    """Files, settings and place of one training.

    crops, pixels: the shards' tables and arrays, in the same order. states: of checkpoints. threads: of each process.
    """

    crops: list[Path]
    pixels: list[Path]
    splits: Path
    crop_settings: dict[str, Any]
    model: DaeModelSettings
    train: DaeTrainSettings
    states: States
    weights: Path
    metrics: Path
    log: Path
    seed: int
    device: str
    threads: int

    def run(self) -> None:
        """Train on the training patients' crops and write weights and metrics, in this process."""
        splits = read_table(self.splits, PATIENT_SPLITS)
        pixels: list[np.ndarray] = []
        patients: set[str] = set()
        for crops_file, pixels_file in zip(self.crops, self.pixels, strict=True):
            crops = read_table(crops_file, CROPS)
            wanted = crops["evaluable"] & in_split(splits, crops["patient_id"], "train")
            pixels.append(read_array(pixels_file)[crops.loc[wanted, "crop"].to_numpy()])
            patients.update(crops.loc[wanted, "patient_id"])
        if not any(map(len, pixels)):
            raise ValueError(
                "the training split has no evaluable crop to learn from; see the reasons in crops/*.parquet"
            )
        facts = {
            "training_patients_sha256": hashlib.sha256("\n".join(sorted(patients)).encode()).hexdigest(),
            "crop": json.dumps(self.crop_settings, sort_keys=True),
        }
        place = (self.states, self.weights, self.seed, self.device, self.threads)
        metrics = train_dae(pixels, self.model, self.train, *place, facts=facts)
        if metrics:
            write_json(self.metrics, metrics | {"patients": len(patients)})

    def run_together(self, processes: int, nodes: int, kind: str = "") -> None:
        """Train in several processes, one for each GPU, on this node or on all nodes of this SLURM job.

        kind: the GPUs' type, where the job named one. Raises as `run` does; ValueError where such GPUs cannot train
        together, RuntimeError where a process failed, whose own words are in the log.
        """
        check_together("dae", processes, nodes, kind, self.train.batch_size)
        each = processes // nodes
        if self.device == "cuda" and (seen := torch.cuda.device_count()) < each:
            raise ValueError(
                f"train_dae has {each} GPUs on each node, but torch sees {seen} on this one; of a GPU's slices (MIG) "
                "it sees one, and they cannot train together"
            )
        share = self.model_copy(update={"threads": max(1, self.threads // each)})
        description = self.states.folder / "job.json"
        write_text(description, share.model_dump_json())
        self.metrics.unlink(missing_ok=True)  # of an earlier attempt, which would pass for this one's
        command = _on_all_nodes(nodes, each, self.threads) + _torchrun(nodes, each) + [str(description)]
        log.info("%d processes on %d node(s): %s", processes, nodes, shlex.join(command))
        status, reason = _watched(command)
        if self.metrics.exists():
            return
        if reason or status == 0:
            raise TrainingInterrupted(reason or "the processes stopped before the end")
        raise RuntimeError(f"training in {processes} processes failed (status {status}); why is said above in the log")


def _torchrun(nodes: int, each: int) -> list[str]:
    """One torchrun on every node.

    It leaves SIGTERM and SIGUSR1 to the processes, which stop together after a step and save: torchrun itself would
    give up on them when a signal comes twice, and SLURM signals every process of a job.
    """
    meeting = ["--standalone"] if nodes == 1 else ["--rdzv-backend=c10d", f"--rdzv-endpoint={_endpoint()}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--signals-to-handle=SIGINT"]
    torchrun += [f"--nnodes={nodes}", f"--nproc-per-node={each}", *meeting, "-m", "vertegrade.graders.dae.training_job"]
    return ["sh", "-c", "trap '' TERM USR1; exec \"$@\"", "sh", *torchrun]


def _on_all_nodes(nodes: int, each: int, threads: int) -> list[str]:
    """`srun` within the job, with all that the job was given on each of its nodes."""
    if nodes == 1:
        return []
    if "SLURM_JOB_ID" not in os.environ:
        raise ValueError(f"train_dae asks for {nodes} nodes, which only a SLURM job has; set its resource nodes to 1")
    srun = ["srun", "--overlap", "--kill-on-bad-exit", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return [*srun, f"--cpus-per-task={threads}", f"--gpus-per-node={each}"]


def _endpoint() -> str:
    """Where torchruns of several nodes meet: a free port of this node."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{platform.node()}:{probe.getsockname()[1]}"


def _watched(command: list[str]) -> tuple[int, str]:
    """Run a command to its end, hand signals on to all its processes; its status, and the signal or "".

    The processes are in sessions of their own, so that a signal to this process's group reaches them by us alone.
    """
    paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with Interruption() as interruption:
        process = subprocess.Popen(
            command, env=environment, start_new_session=True, preexec_fn=lambda: _end_with_parent(signal.SIGKILL)
        )
        told = False
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if interruption.received and not told:
                    told = True
                    _signal_all(signal.SIGTERM)
        finally:
            _signal_all(signal.SIGKILL)  # nobody is left but where this process itself was interrupted
        return process.wait(), interruption.received


def _end_with_parent(number: signal.Signals) -> None:
    """Ask Linux for a signal when the process that started this one dies without a word (prctl(2))."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, number)


def _signal_all(number: signal.Signals) -> None:
    for process in psutil.Process().children(recursive=True):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def main(description: Path) -> None:
    """One of several processes; ends well also where it was asked to stop: then there are no weights."""
    job = TrainingJob.model_validate_json(description.read_text(encoding="utf-8"))
    LoadedCode("train_dae", job.states.code, "")
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
