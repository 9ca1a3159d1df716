"""Settings of the run as a whole."""

from typing import Literal

from .base import PlainPath, Section, setting


class RunSettings(Section):
    """Where files go and on what they are computed."""

    results: PlainPath = setting("results", "Folder of all outputs.", min_length=1)
    logs: PlainPath = setting(
        "",
        "Folder of the logs of all jobs. Empty: `logs` in `run.results`, so that no two runs share it.",
        reruns=False,
    )
    model: PlainPath = setting(
        "",
        "A frozen model, the results folder of a finished run, or `shipped` for the grader that comes with this clone. "
        "It grades these scans, and nothing is trained (docs/how-to/frozen-model.md). Its settings of `crop`, "
        "`localize`, `dae.model` and `grading` count where you give none. Another value of what shaped the model is an "
        "error. Empty: train on the cohort.",
    )
    fail_on: Literal["none", "any", "all"] = setting(
        "all",
        "When `snakemake` ends with a status other than 0 although all jobs ended well. `all`: no scan is done and at "
        "least one failed. `any`: at least one scan failed. `none`: never. Excluded scans have not failed. Results "
        "are kept. Everything else is made first with `keep-going`, which the default profile sets.",
        reruns=False,
    )
    seed: int = setting(31415, "Seed from which the seed of every stage is derived.", ge=0)
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto",
        "Where torch computes. `auto` takes a GPU if there is one. With `cpu` no rule asks for a GPU. Results of a "
        "GPU differ in the last digits. A new value re-runs nothing.",
        reruns=False,
    )

    @property
    def log_folder(self) -> str:
        """Where the logs are."""
        return self.logs or f"{self.results}/logs"
