"""Phantom scans that the localizer's networks learn from: half of them differ more from each other than real ones do.

The user's settings are not used: patient, pose, field of view and scanner are drawn over all that a clinic may
send and a little beyond (Tobin et al. 2017, "Domain randomization for transferring deep neural networks").
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.ct.volume import Volume
from vertegrade.phantom.anatomy.curve import Pose, axes_of
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import Look, Patient, Vertebra, body_corners
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.scanner.metal import draw_metal
from vertegrade.phantom.scanner.physics import acquire
from vertegrade.phantom.scanner.protocol import EXPLICIT_LITTLE_ENDIAN, Protocol, draw_protocol, generator
from vertegrade.phantom.scanner.vendors import SCANNERS
from vertegrade.phantom.truth import body_table
from vertegrade.settings.phantom import PhantomSettings

_BUDGET = 11_000_000  # voxels of the drawing grid: about a second
# Shares and sides (mm) of the field: spine reconstructions, halves of a trunk, whole trunks.
_FIELDS = ((0.45, 130.0, 220.0), (0.3, 220.0, 330.0), (0.25, 330.0, 430.0))


def learning_scan(seed: int, number: int) -> tuple[Volume, pd.DataFrame]:
    """Scan `number` of what the networks learn from (as `training_scan` returns it).

    Odd numbers are `training_scan`s, hard in every respect; even ones are scanned as the default cohort is, whose finer
    pixels show more of the endplates. Every other one of either has a shell of 1.3 to 4 times the thickness: real
    endplates look thicker than the phantom's, and a height ends at the outer side of them.
    """
    thick = number % 4 >= 2
    shell = float(np.exp(np.random.default_rng([seed, number, 1]).uniform(0.26, 1.39))) if thick else 1.0
    return training_scan(seed, number, shell=shell) if number % 2 else cohort_scan(seed, number, shell)


def learning_patient(seed: int, number: int) -> Patient:
    """The patient of `learning_scan`, its shells as thick as everybody's, whatever of it the scan shows."""
    if number % 2:
        rng = generator(seed, "training scan", str(number))
        return _tilted(rng, _draw_patient(rng, seed, number, 1.0), 1.0)
    return draw_patient(f"loc{number:06d}", PhantomSettings(), seed)


def cohort_scan(seed: int, number: int, shell: float = 1.0) -> tuple[Volume, pd.DataFrame]:
    """A scan as the default phantom cohort has it, and all bodies that it shows (as `training_scan` returns them)."""
    settings = PhantomSettings()
    patient = thick_shelled(draw_patient(f"loc{number:06d}", settings, seed), shell)
    protocol = draw_protocol(f"loc{number:06d}-1", patient, settings.acquisition, seed)
    drawn, _ = render(patient, protocol.fine_origin_mm, protocol.fine_shape, protocol.fine_spacing_mm)
    hu = acquire(drawn, protocol, generator(seed, "acquire", protocol.scan_id))
    truth = body_table(patient, protocol.origin_mm, protocol.shape, protocol.spacing_mm, protocol.scan_id)
    return Volume(np.ascontiguousarray(hu), protocol.affine), truth


def thick_shelled(patient: Patient, factor: float) -> Patient:
    """The patient with thicker and softer cortex all round; no surface moves, so that the truth stays."""
    softer = max(factor**-0.4, 0.5)
    vertebrae = []
    for vertebra in patient.vertebrae:
        bone = vertebra.material
        shell = replace(bone, cortex_mm=bone.cortex_mm * factor, cortical_hu=bone.cortical_hu * softer)
        vertebrae.append(replace(vertebra, material=shell))
    return replace(patient, vertebrae=tuple(vertebrae))


def training_scan(
    seed: int, number: int, hard: float = 1.0, voxels: int = _BUDGET, shell: float = 1.0
) -> tuple[Volume, pd.DataFrame]:
    """Scan `number` of an endless, reproducible series: the delivered volume and the bodies that it shows.

    The table has the columns of tables.PHANTOM_TRUTH; besides T1-L6 and T13 its rows are the cervical bodies that are
    drawn and S1 (label 26), all with their six points. `complete`: the body lies completely in the volume.
    hard: 0 (an average clinic's scans) to 1 scales tilts, noise, curvature and the spread of bone density.
    voxels: largest drawing grid; fewer make a coarser and cheaper scan. shell: factor of the cortex's thickness.
    """
    rng = generator(seed, "training scan", str(number))
    patient = thick_shelled(_tilted(rng, _draw_patient(rng, seed, number, hard), hard), shell)
    protocol = _draw_protocol(rng, patient, number, hard, voxels)
    drawn, _ = render(patient, protocol.fine_origin_mm, protocol.fine_shape, protocol.fine_spacing_mm)
    delivered = acquire(drawn, protocol, generator(seed, "training acquire", str(number)))
    truth = body_table(patient, protocol.origin_mm, protocol.shape, protocol.spacing_mm, protocol.scan_id)
    hu, affine = _delivered(rng, delivered, protocol)
    return Volume(hu, affine), truth


def _delivered(
    rng: np.random.Generator, hu: NDArray[np.int16], protocol: Protocol
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The scan as archives have it: most unchanged, some as thick sagittal slices, some blank outside a circle."""
    affine = protocol.affine
    if rng.random() < 0.15:
        radius = rng.uniform(0.9, 1.02) * protocol.shape[0] / 2
        axis = np.arange(protocol.shape[0]) - (protocol.shape[0] - 1) / 2
        hu[np.hypot(axis[:, None], axis) > radius] = -1024
    if rng.random() < 0.15:
        merged = max(round(rng.uniform(1.5, 4) / protocol.pixel_mm), 2)
        count = hu.shape[0] // merged
        hu = hu[: count * merged].reshape(count, merged, *hu.shape[1:]).mean(axis=1).round().astype(np.int16)
        affine[0, 3] += (merged - 1) / 2 * protocol.pixel_mm
        affine[0, 0] *= merged
    return np.ascontiguousarray(hu), affine


def _draw_patient(rng: np.random.Generator, seed: int, number: int, hard: float) -> Patient:
    """A patient with many fractures and findings, and bone from 20 HU to 400 HU."""
    settings = PhantomSettings(
        fractured_patients=0.75,
        fractures_per_patient=rng.uniform(2, 9),
        subthreshold=rng.uniform(0, 0.2),
        mimics=rng.uniform(0.1, 0.8),
        scoliosis=0.5,
        max_scoliosis_degrees=20 + 20 * hard,
        variants=0.2,
        slips=0.15,
    )
    patient = draw_patient(f"tr{number:07d}", settings, seed)
    shift = hard * (rng.uniform(20, 400) - patient.person.bone_hu)
    shell = float(np.exp(hard * rng.normal(0, 0.2)))
    return replace(patient, vertebrae=tuple(_with_bone(v, shift, shell) for v in patient.vertebrae))


def _with_bone(vertebra: Vertebra, shift_hu: float, shell: float) -> Vertebra:
    material = vertebra.material
    spongiosa = float(np.clip(material.trabecular_hu + shift_hu, -30, 700))
    return replace(
        vertebra,
        material=replace(material, trabecular_hu=spongiosa, cortical_hu=max(material.cortical_hu * shell, 500.0)),
    )


def _tilted(rng: np.random.Generator, patient: Patient, hard: float) -> Patient:
    """The patient turned about all three axes by up to 15 degrees."""
    pitch, roll, turn = np.deg2rad(hard * rng.uniform(-15, 15, 3))
    matrix = axes_of(pitch, roll, turn)
    turned = tuple(replace(v, pose=Pose(v.pose.origin @ matrix, v.pose.axes @ matrix)) for v in patient.vertebrae)
    look = Look(
        turn=float(turn), soft_hu=float(hard * rng.normal(0, 15)), soft_scale=float(np.exp(hard * rng.normal(0, 0.25)))
    )
    return replace(patient, vertebrae=turned, look=look)


def _draw_protocol(rng: np.random.Generator, patient: Patient, number: int, hard: float, voxels: int) -> Protocol:
    """A window of four vertebrae to all of them, in a field from the spine alone to the whole trunk."""
    shown = _draw_window(rng, patient)
    corners = np.concatenate([body_corners(v) for v in shown])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margins = rng.uniform(-15, 40, 2)
    if shown[-1] is patient.vertebrae[-1]:  # below the coccyx the scan may continue to the thighs
        margins[0] += 2 * max(margins[0], 0)
    bottom, top = low[2] - margins[0], high[2] + margins[1]
    thickness = float(np.exp(rng.uniform(np.log(0.6), np.log(5.0))))
    spacing = thickness * (rng.uniform(0.5, 0.9) if rng.random() < 0.3 else 1.0)
    field = _draw_field(rng, low, high)
    pixel = field / 512 if rng.random() < 0.2 else rng.uniform(0.5, 1.5)
    pixel, step = _affordable(float(pixel), min(spacing, 1.0), field, top - bottom + 2 * thickness, voxels)
    spacing = max(spacing, step)
    thickness = max(thickness, spacing)
    matrix = max(int(field / pixel), 48)
    slices = max(int((top - bottom) / spacing) + 1, 8)
    scanner = SCANNERS[rng.integers(len(SCANNERS))]
    corner = _draw_corner(rng, low, high, matrix * pixel)
    named = tuple(v.label for v in shown if v.label in patient.levels)
    metal = draw_metal(patient, named, rng) if len(named) > 4 and rng.random() < 0.12 else ()
    return Protocol(
        scan_id=f"tr{number:07d}-1",
        levels=named,
        origin_mm=(corner[0], corner[1], float(bottom)),
        shape=(matrix, matrix, slices),
        pixel_mm=float(pixel),
        slice_spacing_mm=float(spacing),
        slice_thickness_mm=float(thickness),
        fine_step_mm=float(step),
        scanner=scanner,
        kernel=scanner.kernels[rng.integers(len(scanner.kernels))],
        kvp=120,
        tube_current_ma=200,
        noise_sd_hu=float(np.exp(rng.uniform(np.log(5), np.log(45 + 75 * hard)))),
        hu_offset=float(rng.normal(0, 12)),
        hu_slope=float(1 + rng.normal(0, 0.04)),
        metal=metal,
        patient_position="HFS",
        transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
        centroid_axes="RAS",
    )


def _affordable(pixel: float, step: float, field: float, length: float, voxels: int) -> tuple[float, float]:
    """Pixel and slice step (mm) of the drawing grid: coarsened in turns until the grid keeps to the budget."""
    while (field / pixel) ** 2 * (length / step + 5) > voxels:
        if pixel < 1.1 * step or step > 1.6:
            pixel *= 1.05
        else:
            step *= 1.05
    return pixel, step


def _draw_window(rng: np.random.Generator, patient: Patient) -> list[Vertebra]:
    """Neighbouring vertebrae, from the head down: a tenth of the scans show all."""
    count = len(patient.vertebrae)
    named = sum(v.label > 0 for v in patient.vertebrae)
    wanted = count if rng.random() < 0.1 else int(rng.integers(4, count + 1))
    first = int(rng.integers(0, min(count - wanted, named - 4) + 1))
    return list(patient.vertebrae[first : first + wanted])


def _draw_field(rng: np.random.Generator, low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """Side (mm) of the square field; never so small that bodies are cut at its sides."""
    _, smallest, largest = _FIELDS[rng.choice(len(_FIELDS), p=[share for share, *_ in _FIELDS])]
    return max(rng.uniform(smallest, largest), float((high - low)[:2].max()) + 40)


def _draw_corner(
    rng: np.random.Generator, low: NDArray[np.float64], high: NDArray[np.float64], field: float
) -> tuple[float, float]:
    """Origin (x, y; mm): anywhere that keeps the bodies inside; large fields reach to the front of the trunk."""
    middle = (low + high)[:2] / 2
    room = np.maximum((field - (high - low)[:2]) / 2 - 12, 0)
    across = rng.uniform(-0.5, 0.5) * room[0]
    ahead = min(rng.uniform(-0.6, 1.0) * room[1], 75.0)
    return float(middle[0] + across - field / 2), float(middle[1] + ahead - field / 2)
