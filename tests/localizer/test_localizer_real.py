"""The shipped networks on real CT that they were never trained on, against the scans' own masks."""

import importlib.util
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, to_ras
from vertegrade.localizer.landmarks import learned_landmarks
from vertegrade.localizer.networks import Localizer, load_localizer
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.foreign import without_foreign

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def real_ct() -> ModuleType:
    """benchmarks/real_ct.py: the same comparison that docs/results/localization.md reports."""
    spec = importlib.util.spec_from_file_location("real_ct", ROOT / "benchmarks" / "real_ct.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def localizer() -> Localizer:
    return load_localizer(ROOT / "models" / "localizer", "cpu")


@pytest.mark.parametrize("name", ["lidc-idri-0001", "verse014", "totalsegmentator-example"])
def test_whole_bodies_are_found_named_and_measured_as_the_mask_has_them(
    name: str, real_ct: ModuleType, localizer: Localizer
) -> None:
    here = real_ct.scans(SHARED if SHARED.is_dir() else None)
    if name not in here:
        pytest.skip(f"{name} is not on this machine (tests/helpers/lidc.py, ../shared/data)")
    volume, labels = here[name]
    found = learned_landmarks(ScanRow(name, name, ""), volume, localizer, LocalizeSettings())
    figures = real_ct.figures(found, real_ct.compared(found, labels, volume.affine))
    assert figures["f1"] >= 0.9
    assert figures["recall"] == 1
    assert figures["levels"] == 1
    assert figures["centre_mm"] <= 5
    assert figures["height_mm"] <= 1.5
    assert without_foreign(found, volume)["reason"].equals(found["reason"])  # field test A9: nothing is put in


@pytest.mark.parametrize("name", ["lidc0314-lower", "lidc0314-upper", "nsclcr01-lower", "cptacpda00189"])
def test_dense_bone_contrast_and_thick_slices_are_no_foreign_material(name: str, localizer: Localizer) -> None:
    path = SHARED / "unlabelled" / f"{name}_ct.nii.gz"  # field test A9
    if not path.is_file():
        pytest.skip("../shared/data/unlabelled is not on this machine")
    image = nib.load(path)
    hu, affine = to_ras(np.asanyarray(image.dataobj), image.affine)
    volume = Volume(np.ascontiguousarray(hu.astype(np.int16)), affine)
    found = learned_landmarks(ScanRow(name, name, ""), volume, localizer, LocalizeSettings())
    assert found["evaluable"].sum() >= 4
    assert without_foreign(found, volume)["reason"].equals(found["reason"])
