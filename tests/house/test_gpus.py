"""GPUs in each form in which a cluster wants to be asked for them."""  # field test C2

from typing import Any

import pytest

from vertegrade.gpus import check_together, gpus_asked_for


@pytest.mark.parametrize(
    ("resources", "count", "kind"),
    [
        ({"gpu": 1}, 1, ""),
        ({"gpu": 4, "nodes": 2, "gpu_model": "a100"}, 4, "a100"),
        ({"gpu": 0}, 0, ""),
        ({}, 0, ""),
        ({"gpu": 0, "gres": "gpu"}, 1, ""),
        ({"gpu": 0, "gres": "gpu:2"}, 2, ""),
        ({"gpu": 0, "gres": "gpu:a100"}, 1, "a100"),
        ({"gpu": 0, "gres": "gpu:a100:2", "nodes": 2}, 4, "a100"),
        ({"gpu": 0, "gres": "gpu:1g.5gb:1"}, 1, "1g.5gb"),
        ({"gpu": 0, "gres": "lscratch:100"}, 0, ""),
        ({"gpu": 0, "slurm_extra": "--mail-type=FAIL --gpus-per-node=nvidia-a100:2", "nodes": 2}, 4, "nvidia-a100"),
        ({"gpu": 0, "slurm_extra": "--gpus-per-node=3"}, 3, ""),
        ({"gpu": 0, "slurm_extra": "--signal=USR1@300"}, 0, ""),
    ],
)
def test_the_count_is_taken_from_whatever_asks_for_them(resources: dict[str, Any], count: int, kind: str) -> None:
    assert gpus_asked_for(resources) == (count, kind)


@pytest.mark.parametrize("kind", ["1g.5gb", "a100_3g.20gb", "A100-SXM4-40GB-MIG-1g.5gb", "1g.10gb+me"])
def test_slices_do_not_train_together_but_one_does(kind: str) -> None:
    check_together("dae", 1, 1, kind, 64)
    with pytest.raises(ValueError, match="cannot train together"):
        check_together("dae", 2, 1, kind, 64)


@pytest.mark.parametrize(("processes", "nodes"), [(3, 2), (1, 2)])
def test_each_node_has_as_many(processes: int, nodes: int) -> None:
    check_together("dae", 4, 2, "a100-sxm4-80gb", 64)
    with pytest.raises(ValueError, match="each node must have as many"):
        check_together("dae", processes, nodes, "", 64)
