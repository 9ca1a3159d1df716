"""Every grading method: its name, what it needs, what it makes and what it must beat. A new grader is one entry here.

Rules, pre-flight, figures and pages read this table. Imported while the Snakefile is parsed, so no numpy, pandas or
torch.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One grading method. Its rules are in `rules/{name}.smk`, its code in `vertegrade/graders/`.

    name: in paths and tables. label: as people write it. needs: `crops` (2.5D sagittal stacks), `points` (six points
    per vertebra), `patches` (3D patches), `spines` (whole spines, straightened). latents: its tables of latents below
    the results folder, one per shard where the path has {shard}; these are graded by hyperplane and calibration.
    Empty: its own rule writes `predictions/{name}.parquet`. scores: of a method that grades by itself its tables of
    log P(grade), one per shard where the path has {shard}, which are calibrated on validation patients
    (grading/probabilities.py).

    weights: file below the results folder whose SHA-256 is in its latents; empty where nothing is trained. model_files:
    all files below the results folder that other scans are graded and drawn by, of a method with latents its weights
    and what is `fitted` to these.

    baseline: the simplest method that could do the same, with which it is compared; empty for the simplest itself.
    about: what it is, for readers of the page.
    """

    name: str
    label: str
    needs: frozenset[str]
    latents: str
    weights: str
    model_files: tuple[str, ...]
    baseline: str
    about: str
    scores: str = ""


# Below the results folder: what heights every measurement expects of intact vertebrae, whatever method grades.
INTACT_HEIGHTS = "heights/intact_heights.json"
STEPS = "collapsed/steps.safetensors"  # what draws the DAE's vertebrae at other grades


def fitted(method: str) -> tuple[str, ...]:
    """The files that are fitted to the latents of a method."""
    return tuple(f"grading/{method}/{part}.json" for part in ("hyperplane", "calibrator", "novelty"))


def calibrated(method: str) -> str:
    """The file that is fitted to the scores of a method."""
    return f"grading/{method}/probabilities.json"


METHODS = {
    method.name: method
    for method in (
        Method(
            name="dae",
            label="DAE",
            needs=frozenset({"crops"}),
            latents="latents/dae/{shard}.parquet",
            weights="dae/weights.safetensors",
            model_files=("dae/weights.safetensors", STEPS, *fitted("dae")),
            baseline="pca",
            about="A diffusion autoencoder learns crops of vertebrae without labels (Keicher et al. 2023, Atad et al. "
            "2024); the distance of its latents to a hyperplane between fractured and intact is calibrated to grades.",
        ),
        Method(
            name="pca",
            label="PCA",
            needs=frozenset({"crops"}),
            latents="latents/pca/{shard}.parquet",
            weights="pca/components.safetensors",
            model_files=("pca/components.safetensors", *fitted("pca")),
            baseline="",
            about="Principal components of the same crops instead of the DAE's latents: the baseline to beat.",
        ),
        Method(
            name="keypoints",
            label="Keypoints",
            needs=frozenset({"points"}),
            latents="latents/keypoints/{shard}.parquet",
            weights="",
            model_files=fitted("keypoints"),
            baseline="",
            about="Genant's indices from six points per vertebra, corrected for its level and its patient. What is "
            "usual at a level is fitted to the training split.",
        ),
        Method(
            name="fusion",
            label="Fusion",
            needs=frozenset({"crops", "points"}),
            latents="latents/fusion/{shard}.parquet",
            weights="",
            model_files=("dae/weights.safetensors", *fitted("fusion")),
            baseline="pca",
            about="The DAE's latent and the indices of the six points side by side, graded as one latent.",
        ),
        Method(
            name="supervised",
            label="Supervised",
            needs=frozenset({"crops", "patches"}),
            latents="",
            scores="scores/supervised/{shard}.parquet",
            weights="supervised/weights.safetensors",
            model_files=("supervised/weights.safetensors", calibrated("supervised")),
            baseline="pca",
            about="A DenseNet on crops or a 3D SE-ResNet on patches, trained on the grades of the training patients: "
            "what one would do without the others.",
        ),
        Method(
            name="supcon",
            label="SupCon",
            needs=frozenset({"patches"}),
            latents="",
            scores="scores/supcon/{shard}.parquet",
            weights="supcon/weights.safetensors",
            model_files=("supcon/weights.safetensors", calibrated("supcon")),
            baseline="pca",
            about="A 3D SE-ResNet on patches, trained on grades by cross-entropy and a supervised contrastive loss "
            "(Wei et al. 2022).",
        ),
        Method(
            name="seq2seq",
            label="Seq2seq",
            needs=frozenset({"crops", "spines"}),
            latents="",
            scores="scores/seq2seq/{shard}.parquet",
            weights="seq2seq/weights.safetensors",
            model_files=("seq2seq/weights.safetensors", calibrated("seq2seq")),
            baseline="pca",
            about="Networks that read the whole spine as a sequence of overlapping 3D patches in front of the spinal "
            "canal, and their average (Chettrit et al. 2020).",
        ),
    )
}
DEFAULT = ("dae", "pca", "keypoints")  # of the setting `methods`
MAIN = "dae"  # the method whose grades flow, montage, summary and the closing words are about
BASELINES = {method.baseline for method in METHODS.values() if method.baseline}
