"""The training of the method `seq2seq` as a job of the workflow: one network after the other, then all in one file."""

import sys
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from vertegrade.files import sha256_of, write_json
from vertegrade.graders.seq2seq.network import member_names
from vertegrade.graders.seq2seq.sequences import SpineScan, graded_scans
from vertegrade.graders.seq2seq.training import METHOD, Learning, content_sha256, train_member
from vertegrade.graders.seq2seq.weights import geometry_text, save_networks
from vertegrade.settings.seq2seq import (
    Seq2seqModelSettings,
    Seq2seqSettings,
    Seq2seqTrainSettings,
    StraightSpineSettings,
)
from vertegrade.tables import LABELS, PATIENT_SPLITS, read_table, read_tables
from vertegrade.training.launch import TrainingJob, join
from vertegrade.training.seeds import step_seed


class Seq2seqTrainingJob(TrainingJob):
    """Graded straight spines of training patients to an ensemble.

    arrays, spines, bodies: of the shards, in the same order. canal: weights of what found the canals.
    """

    method: ClassVar[str] = METHOD
    arrays: list[Path]
    spines: list[Path]
    bodies: list[Path]
    canal: Path
    labels: list[Path]
    splits: Path
    spine: StraightSpineSettings
    model: Seq2seqModelSettings
    train: Seq2seqTrainSettings
    fracture_grade: int

    def run(self) -> None:
        """Train on the training patients; the validation patients choose the step of each network."""
        torch.set_num_threads(self.threads)
        train, validation = self.graded("train"), self.graded("validation")
        settings = Seq2seqSettings(spine=self.spine, model=self.model, train=self.train)
        data = {"train": content_sha256(train), "validation": content_sha256(validation)}
        geometry = geometry_text(self.spine.model_dump(), sha256_of(self.canal))
        facts: dict[str, str] = data | {"seed": str(self.seed), "steps": str(self.train.steps)}
        figures: dict[str, Any] = {}
        networks, states = nn.ModuleDict(), []
        for number, (name, variant) in enumerate(zip(member_names(self.model), self.model.variants, strict=True)):
            seed = step_seed(self.seed, number)  # not seed + number, which is the next run's first network
            # A folder of its own for each: the end of one training removes what is left of others beside it.
            own = self.states.model_copy(update={"folder": self.states.folder / name})
            folder = own.of(
                settings={
                    "member": name,
                    "model": self.model.model_dump(exclude={"variants"}),
                    "train": self.train.model_dump(exclude={"save_every_s"}),
                    "geometry": geometry,
                    "fracture_grade": self.fracture_grade,
                },
                seed=seed,
                device=self.device,
                inputs=data,
            )
            learning = Learning(train, settings, self.fracture_grade, seed)
            networks[name], found = train_member(variant, learning, validation, settings, folder, seed, self.device)
            figures |= {f"{name}_{key}": value for key, value in found.items()}
            facts |= {f"{name}_best_step": str(int(found["best_step"]))} if "best_step" in found else {}
            states.append((own, folder))
        if not learning.processes.first:
            return
        save_networks(Path(self.weights), networks, settings, geometry, facts)
        for own, folder in states:
            own.keep_only(folder)
        counts = {"scans": len(train), "validation_scans": len(validation)}
        counts |= {"patients": len({scan.patient_id for scan in train})}
        counts |= {"validation_patients": len({scan.patient_id for scan in validation})}
        counts |= {"parameters": sum(weight.numel() for weight in networks.parameters())}
        write_json(self.metrics, figures | counts)

    def graded(self, split: str) -> list[SpineScan]:
        """The graded scans of a split's patients."""
        labels, splits = read_tables([*map(str, self.labels)], LABELS), read_table(self.splits, PATIENT_SPLITS)
        return graded_scans(list(zip(self.arrays, self.spines, self.bodies, strict=True)), labels, splits, split)


if __name__ == "__main__":
    join(Seq2seqTrainingJob, Path(sys.argv[1]))
