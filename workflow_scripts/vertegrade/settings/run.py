"""Settings of the run as a whole."""

from typing import Literal

from .base import PlainPath, Section, setting


class RunSettings(Section):
    """Where files go and on what they are computed."""

    results: PlainPath = setting("results", "Folder of every output.", min_length=1)
    logs: PlainPath = setting(
        "",
        "Folder of the log of every job. Empty: `logs` in `run.results`, so that no two runs share it.",
        reruns=False,
    )
    model: PlainPath = setting(
        "",
        "Results folder of a finished run: its DAE, hyperplane and calibrator grade these scans. Its "
        "settings of `crop`, `localize`, `dae.model` and `grading` count where you give none; another value of what "
        "shaped the model is an error. Empty: train on the cohort.",
    )
    fail_on: Literal["none", "any", "all"] = setting(
        "all",
        "When `snakemake` ends with a status other than 0 although every job ended well; results are kept. `all`: no "
        "scan is done and one failed. `any`: a scan failed. `none`: never. Excluded scans have not failed. "
        "Everything else is made first with `keep-going`, which the default profile sets.",
        reruns=False,
    )
    seed: int = setting(31415, "Seed from which the seed of every stage is derived.", ge=0)
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto",
        "Where torch computes; `auto` takes a GPU if there is one. With `cpu` no rule asks for a GPU. Figures of a GPU "
        "differ in the last digits; a new value re-runs nothing.",
        reruns=False,
    )

    @property
    def log_folder(self) -> str:
        """Where the logs are."""
        return self.logs or f"{self.results}/logs"
