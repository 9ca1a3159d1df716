"""The GPUs that a job asked SLURM for, in any of the forms that clusters want, and whether a training can use them."""

import re
from typing import Any

PER_NODE = re.compile(r"--gpus-per-node[=\s]+['\"]?([^\s'\"]+)")
# NVIDIA's names of parts of a GPU: 1g.5gb, a100_3g.20gb, 1g.10gb+me. A process sees at most one of them.
SLICE = re.compile(r"(?<![a-z0-9])\d+g\.\d+gb")


def gpus_asked_for(resources: Any) -> tuple[int, str]:
    """How many GPUs a job asked for in all, and of which type ("" where it named none).

    resources: of a job of Snakemake (anything with `get`): `gpu` (of all nodes) with `gpu_model`; else, of each of its
    `nodes`, `gres` as in `gpu:a100:2`; else `slurm_extra` with `--gpus-per-node=nvidia-a100:2`.
    """
    whole = int(resources.get("gpu") or 0)
    if whole:
        return whole, str(resources.get("gpu_model") or "")
    option = PER_NODE.search(str(resources.get("slurm_extra") or ""))
    asked = str(resources.get("gres") or "") or (f"gpu:{option.group(1)}" if option else "")
    if asked.split(":")[0] != "gpu":
        return 0, ""
    *kinds, last = asked.split(":")[1:] or ["1"]
    count, kind = (int(last), "".join(kinds)) if last.isdigit() else (1, last)
    return count * int(resources.get("nodes") or 1), kind


def check_together(method: str, processes: int, nodes: int, kind: str, batch_size: int) -> None:
    """ValueError where a method's training cannot run in that many processes, one per GPU: it says what to ask for."""
    if processes > 1 and SLICE.search(kind.lower()):
        raise ValueError(
            f"train_{method} asks for {processes} slices of a GPU ({kind}), and slices (MIG) cannot train together: "
            "ask for one slice, or for whole GPUs"
        )
    if processes < nodes or processes % nodes:
        raise ValueError(f"train_{method} asks for {processes} GPUs on {nodes} nodes: each node must have as many")
    if batch_size % processes:
        raise ValueError(
            f"{method}.train.batch_size is {batch_size}, which {processes} processes cannot share evenly: "
            "choose a multiple, or ask for another number of GPUs"
        )
