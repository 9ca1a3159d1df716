"""Which vertebrae are unlike the training? Ways to tell, compared on a finished run, planted strangeness and real CT.

    .venv/bin/python benchmarks/novelty.py RESULTS --shared ../shared/data

RESULTS: a finished run of phantoms, whose models, training and validation vertebrae are used. "In" are its test
vertebrae, and all of a second run that it graded (`--more`). Planted strangeness (strange_crops.py) is made from two
test vertebrae of each patient. Real CT comes from a folder of yours, and LIDC-IDRI-0001 from `python
tests/helpers/lidc.py`. Each way has its limit from the validation patients, by patient, as the library's has.

The line "as fitted" is the novelty that RESULTS itself fitted, with its limit. It differs from "the library" where
RESULTS learned from virtual fractures too. `--ways` without names leaves the other ways out.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from novelty_sets import Grader, Vertebrae, of_run, real_vertebrae, strange_vertebrae
from novelty_ways import WAYS
from vertegrade.files import read_json
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.novelty import LIMIT, STEPS, Novelty, fit_novelty, patient_weights, weighted_quantile
from vertegrade.tables import PATIENT_SPLITS, read_table

Score = Callable[[Vertebrae], np.ndarray]
Line = dict[str, str]
SIGNS = ["latent", "image", "head to feet", "front to back", "HU halved", "HU doubled"]  # in the library's order


@dataclass(frozen=True)
class Sets:
    """Vertebrae by split, of a second run, with planted strangeness by kind, and of real CT."""

    train: Vertebrae
    validation: Vertebrae
    test: Vertebrae
    more: Vertebrae | None
    strange: dict[str, Vertebrae]
    real: Vertebrae | None

    @property
    def new(self) -> Vertebrae:
        """Phantoms that nothing was fitted on and no limit was set on."""
        return self.test if self.more is None else self.test.with_rows_of(self.more)


def compared_with_severity(raw: Score, sets: Sets) -> Score:
    """The score less what is usual at the predicted severity, by a line through the validation vertebrae."""
    validation = sets.validation
    root = np.sqrt(patient_weights(validation.table["patient_id"]))
    terms = np.stack([np.ones(len(root)), validation.severity], axis=1)
    line = np.linalg.lstsq(terms * root[:, None], raw(validation) * root, rcond=None)[0]
    return lambda those: raw(those) - line[0] - line[1] * those.severity


def limit_of(score: Score, sets: Sets) -> float:
    """The score that a share LIMIT of validation vertebrae, by patient, does not exceed."""
    weights = patient_weights(sets.validation.table["patient_id"])
    return float(weighted_quantile(score(sets.validation), weights, np.array([LIMIT]))[0])


def figures(score: Score, sets: Sets, limit: float | None = None) -> Line:
    """A line of the table. limit: by default that of `limit_of`."""
    limit = limit_of(score, sets) if limit is None else limit
    new, truth = score(sets.new), sets.new.truth
    found = [(score(those) > limit).mean() for those in sets.strange.values()]
    planted = np.concatenate([score(those) for those in sets.strange.values()])
    error, order = np.abs(sets.new.severity - truth), np.argsort(new, kind="stable")
    means = np.cumsum(error[order]) / np.arange(1, len(order) + 1)
    line = {
        "flagged": f"{(new > limit).mean():.3f}",
        "found": f"{np.mean(found):.3f}",
        "kinds": f"{sum(share >= 0.95 for share in found)}",
        "fpr95": f"{(new > np.quantile(planted, 0.05)).mean():.3f}",
        "by grade": " ".join(f"{(new[truth == grade] > limit).mean():.3f}" for grade in range(4)),
        "tenth": " ".join(f"{(new[truth == grade] > np.quantile(new, 0.9)).mean():.2f}" for grade in range(4)),
        "error": " ".join(f"{means[len(order) * kept // 100 - 1]:.3f}" for kept in (100, 98, 90, 80)),
    }
    if sets.real is not None:
        real, alarm = score(sets.real) > limit, sets.real.grade >= 1
        line["real"] = f"{real.mean():.2f}"
        line["real fpr95"] = f"{(new > np.quantile(score(sets.real), 0.05)).mean():.3f}"
        line["alarms left"] = f"{(alarm & ~real).sum()} of {(~real).sum()}"
    return line


def shown(lines: dict[str, Line]) -> str:
    """Lines by name as a table in Markdown."""
    heads = list(next(iter(lines.values())))
    rows = [["way", *heads], ["---"] * (len(heads) + 1), *([name, *line.values()] for name, line in lines.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_fitted(grader: Grader) -> tuple[Score, float]:
    """The novelty that the run fitted: its most unusual sign, and what it may not exceed."""
    novelty = Novelty.from_dict(read_json(grader.results / "grading" / grader.method / "novelty.json"))
    limit = float(novelty.scores[round(LIMIT * STEPS) - 1])
    return lambda those: novelty.excess(those.z, those.x, those.severity).max(axis=1), limit


def library_lines(sets: Sets, grader: Grader) -> dict[str, Line]:
    """Lines of the library's novelty, of each of its signs, and without each."""
    both = sets.train.with_rows_of(sets.validation)
    splits = read_table(grader.results / "cohort/splits.tsv", PATIENT_SPLITS)
    fitted = fit_novelty(both.latents, both.appearance_table(), splits, grader.plane, grader.calibration)

    def by_signs(numbers: list[int]) -> Score:
        return lambda those: fitted.excess(those.z, those.x, those.severity)[:, numbers].max(axis=1)

    everything = list(range(len(SIGNS)))
    scores = {"the library": by_signs(everything)}
    scores |= {f"{sign} alone": by_signs([number]) for number, sign in enumerate(SIGNS)}
    scores |= {f"without {s}": by_signs([n for n in everything if n != number]) for number, s in enumerate(SIGNS)}
    scores["without the four contrasts"] = by_signs([0, 1])
    return {name: figures(score, sets) for name, score in scores.items()}


def show_parts(score: Score, sets: Sets, limit: float) -> None:
    """Print the shares found per kind, and what becomes of each real scan."""
    print({kind: round(float((score(those) > limit).mean()), 3) for kind, those in sets.strange.items()})
    print(f"limit {limit:.2f}; score of phantoms: median {np.median(score(sets.new)):.2f}, {score(sets.new).max():.2f}")
    if sets.real is not None:
        columns = {"score": score(sets.real), "alarms": sets.real.grade >= 1}
        real = sets.real.table[["scan_id"]].assign(**columns, withheld=columns["score"] > limit)
        real["alarms left"] = real["alarms"] & ~real["withheld"]
        kinds = {"score": "median", "withheld": "sum", "alarms": "sum", "alarms left": "sum"}
        print(real.assign(bodies=1).groupby("scan_id").agg({"bodies": "sum", **kinds}).round(2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--more", type=Path, help="results of a second run of phantoms with run.model = RESULTS")
    parser.add_argument("--shared", type=Path, help="folder with verse014, totalsegmentator_example and unlabelled")
    parser.add_argument("--method", default="dae", choices=["dae", "pca", "keypoints"])
    parser.add_argument("--ways", nargs="*", default=list(WAYS), help="by default all of novelty_ways.py")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = given.results / "grading" / given.method
    plane = Hyperplane.from_dict(read_json(folder / "hyperplane.json"))
    grader = Grader(given.results, given.method, plane, Calibration.from_dict(read_json(folder / "calibrator.json")))
    run = of_run(given.results, grader)
    sets = Sets(
        *(run.of_split(split) for split in ("train", "validation", "test")),
        more=of_run(given.more, grader) if given.more else None,
        strange=strange_vertebrae(grader, run.of_split("test"), given.seed),
        real=real_vertebrae(grader, given.shared) if given.shared else None,
    )
    print({name: len(those.table) for name, those in vars(sets).items() if isinstance(those, Vertebrae)})
    lines = {}
    for name in given.ways:
        raw = WAYS[name](sets.train)
        lines[name] = figures(compared_with_severity(raw, sets), sets)
    plain = {f"{name}, not compared with severity": figures(WAYS[name](sets.train), sets) for name in given.ways[4:5]}
    score, limit = as_fitted(grader)
    fitted = {"as fitted": figures(score, sets, limit)}
    print(shown(lines | plain | library_lines(sets, grader) | fitted))
    show_parts(score, sets, limit)
