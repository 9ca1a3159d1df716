"""The grading systems of a run, a paragraph each, for its methods text."""

from collections.abc import Callable

from vertegrade.methods import METHODS
from vertegrade.report.paper.references import cite
from vertegrade.report.paper.run import Run


def system_paragraphs(run: Run) -> list[str]:
    """A paragraph for each method of the run; a method without its own words is told by its entry in METHODS."""
    return [PARAGRAPHS[name](run) if name in PARAGRAPHS else METHODS[name].about for name in run.methods]


def _dae(run: Run) -> str:
    model, train = run.model, run.train
    seen = f"the mean of the {model.slices} central slices" if model.slab_mean else f"the {model.slices} central slices"
    optimiser = f"Muon {cite('muon')}" if train.optimiser == "muon" else "AdamW"
    predicts = {"epsilon": "the noise", "v": "v", "v_residual": "the residual of v"}[model.prediction]
    return (
        f"DAE: a diffusion autoencoder {cite('preechakul')} learned crops of training {run.whom} without labels, as "
        f"has been proposed for vertebral fractures {cite('keicher', 'atad')}. It saw {seen} between {model.hu_low:g} "
        f"and {model.hu_high:g} HU. The semantic latent has {model.z_dim} numbers; the U-Net has {model.channels} base "
        f"channels with multipliers {_listed(model.multipliers)} and predicts {predicts} over 1000 noise levels "
        f"({model.schedule} schedule). It was trained for {run.training['steps']:.0f} steps of {train.batch_size} "
        f"crops of {run.training['patients']} {run.whom} by {optimiser}, with a learning rate of "
        f"{train.learning_rate:g} ({train.learning_rate_schedule}, {train.warmup_steps} steps of warm-up) and averaged "
        f"weights (decay {train.ema_decay:g}). The encoder saw crops that were rotated by up to "
        f"{train.augment.rotate_deg:g} degrees, shifted by up to {train.augment.shift_px:g} pixels and noisy, which "
        "the decoder did not draw. The averaged weights after the last step were used; nothing was chosen by "
        "validation patients."
    )


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _pca(run: Run) -> str:
    return (
        f"PCA: up to {run.grading.pca.components} principal components of the same crops of training patients, graded "
        "in the same way: the baseline."
    )


def _keypoints(run: Run) -> str:
    return (
        f"Keypoints: anterior, middle and posterior height from six points per vertebra {cite('zakharov', 'pisov')}, "
        f"as losses against the heights that the vertebra would have if it were intact {cite('genant')}. Heights of "
        f"intact vertebrae: {run.heights}."
    )


def _fusion(run: Run) -> str:
    return "Fusion: the DAE's latent and the indices of the six points side by side, graded as one latent."


def _supervised(run: Run) -> str:
    return (
        f"Supervised: a DenseNet {cite('huang')} on crops or a 3D squeeze-and-excitation network {cite('hu')} on "
        "patches, trained on the grades of the training patients; its probabilities were calibrated on validation "
        "patients."
    )


def _supcon(run: Run) -> str:
    return (
        f"SupCon: a 3D squeeze-and-excitation network {cite('hu')} on patches, trained by cross-entropy and a "
        f"supervised contrastive loss {cite('wei', 'khosla')}; its probabilities were calibrated on validation "
        "patients."
    )


def _seq2seq(run: Run) -> str:
    return (
        "Seq2seq: networks that read the whole spine as a sequence of overlapping 3D patches, and their average "
        f"{cite('chettrit')}; its probabilities were calibrated on validation patients."
    )


PARAGRAPHS: dict[str, Callable[[Run], str]] = {
    "dae": _dae,
    "pca": _pca,
    "keypoints": _keypoints,
    "fusion": _fusion,
    "supervised": _supervised,
    "supcon": _supcon,
    "seq2seq": _seq2seq,
}
