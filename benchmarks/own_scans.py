"""Does learning from centroids alone, or from six points in MosMed's layout, harm the localizer?

    .venv/bin/python benchmarks/own_scans.py FOLDER --steps 60

The shipped networks train for a few more steps on phantoms of which they get only what such files say, through the
files and `own_scan`. Figures before and after are those of benchmarks/localization.py, on other phantoms. Points and
centroids are the truth's: the effect of an expert's errors is not measured here.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import pandas as pd

from localization import CENTRE, compared, points, report
from mosmed_file import write_mosmed
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.levels import SACRUM
from vertegrade.localizer.detector.network import NETWORK_LEVELS
from vertegrade.localizer.networks import load_localizer
from vertegrade.localizer.own_scans import own_scan
from vertegrade.localizer.samples import make_samples
from vertegrade.localizer.train import train_centreline, train_detector, train_refiner
from vertegrade.phantom.training_scan import cohort_scan
from vertegrade.settings.spine import LocalizeSettings


def as_annotated(folder: Path, known: str, seed: int, number: int) -> tuple[Volume, pd.DataFrame]:
    """A phantom scan as its training material after a person's file: `known` is points, centroids or everything."""
    volume, truth = cohort_scan(seed, number)
    if known == "everything":
        return volume, truth
    bodies = truth[truth["vertebra"].isin(set(NETWORK_LEVELS) - {SACRUM})]
    path = str(folder / f"{number}_{known}.json")
    if known == "points":
        bodies = bodies[bodies["complete"]]
        write_mosmed(Path(path), volume, {"expert1": dict(zip(bodies["vertebra"], points(bodies), strict=True))})
        return own_scan(ScanRow("s", "p", "s.nii", points=path), volume, "LP")
    voxels = mm_to_voxel(volume.affine, bodies[CENTRE].to_numpy(float)).tolist()
    rows = [{"label": int(n), "X": x, "Y": y, "Z": z} for n, (x, y, z) in zip(bodies["vertebra"], voxels, strict=True)]
    Path(path).write_text(json.dumps([{"direction": ["R", "A", "S"]}, *rows]))
    return own_scan(ScanRow("s", "p", "s.nii", centroids=path), volume, "LP")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an empty folder")
    parser.add_argument("--known", nargs="*", default=["centroids", "points", "everything"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--train", type=int, default=12, help="scans to learn from")
    parser.add_argument("--test", type=int, default=6, help="scans to measure on")
    parser.add_argument("--seed", type=int, default=61)
    given = parser.parse_args()
    for known in ["before", *given.known]:
        networks = load_localizer(Path("models/localizer"), "cpu")
        if known != "before":
            folder = given.folder / known
            folder.mkdir(parents=True)  # samples of another call must not be used
            scans = {f"s{n:02d}": partial(as_annotated, folder, known, given.seed, n) for n in range(given.train)}
            make_samples(folder / "samples", scans, given.seed)
            trainings = [(networks.vertebrae.detector, train_detector), (networks.centreline, train_centreline)]
            if known != "centroids":
                trainings.append((networks.vertebrae.refiner, train_refiner))
            for network, train in trainings:
                network.requires_grad_(True)
                train(network, folder / "samples", folder / "state", given.steps, given.seed, "cpu")
        print(f"--- {known}", flush=True)
        tests = range(given.test)
        report(pd.concat([compared("cohort", given.seed + 1, n, networks, LocalizeSettings()) for n in tests]))
