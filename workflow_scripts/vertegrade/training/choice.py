"""The step of a training whose network is kept: the one with the lowest figure of the validation patients."""

from collections.abc import Callable
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from vertegrade.files import new_file


class Choice:
    """Keeps, beside the checkpoints, the weights that did best so far; a training that was killed goes on with them.

    The same steps are looked at again after a kill, with the same figures, so that the choice is the same.
    """

    def __init__(self, folder: Path, figures: Callable[[nn.Module], dict[str, float]], by: str) -> None:
        """folder: of the training's checkpoints. figures: of a network. by: the figure that is to be low."""
        self._path, self._figures, self._by = folder / "chosen.safetensors", figures, by

    def look(self, network: nn.Module, step: int) -> dict[str, float]:
        """Figures of a network at a step; its weights are kept if none before was as good."""
        figures = self._figures(network)
        before = self._facts()
        if before is None or figures[self._by] < before[1]:
            tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
            with new_file(self._path) as temporary:
                facts = {"step": str(step), "figure": repr(figures[self._by])}
                safetensors.torch.save_file(tensors, temporary, facts)
        return figures

    def best(self) -> tuple[int, float, dict[str, Tensor]]:
        """Step, figure and weights of the choice. ValueError where nothing was looked at."""
        facts = self._facts()
        if facts is None:
            raise ValueError(f"{self._path}: no network was looked at while it was trained")
        return *facts, safetensors.torch.load_file(self._path)

    def _facts(self) -> tuple[int, float] | None:
        if not self._path.is_file():
            return None
        with safetensors.safe_open(self._path, "pt") as handle:
            facts = handle.metadata()
        return int(facts["step"]), float(facts["figure"])
