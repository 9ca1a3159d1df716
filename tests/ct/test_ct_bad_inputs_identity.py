"""List 3.3 of bad inputs, 35 to 41: identity, privacy, archives, NIfTI headers. Numbers in the names are the list's."""

import gzip
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset

from helpers.bad_inputs import InShard, flags, tag, verdict
from helpers.nifti import PIR, write_nifti
from helpers.series import body_hu, write_series
from vertegrade.cohort.leakage import check_leakage
from vertegrade.cohort.splits import LeakageError
from vertegrade.ct.volume import read_volume

EVIL = "../../../../tmp/evil;touch PWNED $(touch PWNED) `touch PWNED` <script> | & \\"


def outputs(shard: Path) -> bytes:
    """Every byte that a shard left, unpacked."""
    files = sorted(shard.iterdir())
    return b"".join(gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes() for f in files)


def test_35_shell_and_paths_in_the_header(tmp_path: Path, in_shard: InShard, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(dataset: Dataset, index: int) -> None:
        for name in ("PatientID", "PatientName", "SeriesDescription", "ProtocolName", "StudyID"):
            setattr(dataset, name, EVIL)

    monkeypatch.chdir(tmp_path)
    assert flags(in_shard(write_series(tmp_path / "in", body_hu(), change=change))) == []
    assert not list(tmp_path.rglob("*PWNED*"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"in", "shard"}
    assert b"PWNED" not in outputs(tmp_path / "shard")


@pytest.mark.parametrize("name", ["../evil.dcm", "/etc/evil.dcm", "a/../../evil.dcm", "..\\evil.dcm", "C:/evil.dcm"])
def test_35_zip_members_that_climb_out(name: str, tmp_path: Path, in_shard: InShard) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr(name, b"x")
    state = in_shard(tmp_path / "in.zip")
    assert verdict(state) == ("failed", "unsafe_archive")
    assert "pack the scan again" in state["message"]


def test_35_a_zip_member_that_is_a_link(tmp_path: Path, in_shard: InShard) -> None:
    member = zipfile.ZipInfo("link.dcm")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    assert verdict(in_shard(tmp_path / "in.zip")) == ("failed", "unsafe_archive")


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    return path


def test_35_a_zip_in_a_zip_is_not_opened(tmp_path: Path, in_shard: InShard) -> None:
    inner = zipped(write_series(tmp_path / "in", body_hu()), tmp_path / "inner.zip")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(inner, "inner.zip")
    state = in_shard(tmp_path / "in.zip")
    assert verdict(state) == ("failed", "no_dicom")


def test_35_an_encrypted_zip(tmp_path: Path, in_shard: InShard) -> None:
    data = bytearray(zipped(write_series(tmp_path / "in", body_hu()), tmp_path / "in.zip").read_bytes())
    at = data.index(b"PK\x01\x02")
    while at >= 0:
        data[at + 8] |= 1  # the flag of the central directory that zipfile believes
        at = data.find(b"PK\x01\x02", at + 1)
    (tmp_path / "in.zip").write_bytes(data)
    state = in_shard(tmp_path / "in.zip")
    assert verdict(state) == ("failed", "broken_archive")
    assert "the zip is encrypted; unpack it" in state["message"]


def test_35_too_many_members(tmp_path: Path, in_shard: InShard) -> None:
    path = zipped(write_series(tmp_path / "in", body_hu(16)), tmp_path / "in.zip")
    state = in_shard(path, max_files=15)
    assert verdict(state) == ("failed", "too_many_files")
    assert "16 files, more than ct.max_files = 15; give one series" in state["message"]


def test_35_a_zip_bomb(tmp_path: Path, in_shard: InShard) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.dcm", bytes(70 * 2**20))
    assert verdict(in_shard(tmp_path / "in.zip")) == ("failed", "unsafe_archive")


def test_35_links_in_a_folder_that_go_round_or_nowhere(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    os.symlink("loop.dcm", folder / "loop.dcm")
    os.symlink("nowhere.dcm", folder / "dangling.dcm")
    os.symlink(folder, folder / "again")
    state = in_shard(folder)
    assert (flags(state), state["slices"], state["warnings"]) == ([], 12, "")


@pytest.mark.parametrize("patient", ["PLANTED-OTHER", ""], ids=["another", "one of them empty"])
def test_36_two_patients_in_one_series(patient: str, tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("PatientID", patient, 4)))
    assert verdict(state) == ("failed", "several_patients")
    assert "more than one patient lie together; give each a folder" in state["message"]


@pytest.mark.parametrize("value", ["", None], ids=["empty", "no tag"])
def test_36_no_patient_id_at_all(value: str | None, tmp_path: Path, in_shard: InShard) -> None:
    assert flags(in_shard(write_series(tmp_path / "in", body_hu(), change=tag("PatientID", value)))) == []


def test_36_and_40_one_scan_under_two_patients(tmp_path: Path, in_shard: InShard) -> None:
    renamed = write_series(tmp_path / "b", body_hu(), change=tag("PatientID", "Other"))
    states = [in_shard(write_series(tmp_path / "a", body_hu())), in_shard(renamed)]
    states = [state | {"scan_id": f"s{i}", "patient_id": f"p{i}"} for i, state in enumerate(states)]
    splits = pd.DataFrame({"patient_id": ["p0", "p1"], "split": ["train", "test"]})
    with pytest.raises(LeakageError, match=r"s0 \(patient p0, train\), s1 \(patient p1, test\)"):
        check_leakage(pd.DataFrame(states), splits)
    assert len(check_leakage(pd.DataFrame(states), splits.assign(split="train"))) == 1


def test_37_burned_in_annotation(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("BurnedInAnnotation", "YES", 7)))
    assert verdict(state) == ("excluded", "burned_in")
    assert "slice007.dcm: text is burned into the pixels (0028,0301); give the series without" in state["message"]
    assert flags(in_shard(write_series(tmp_path / "no", body_hu(), change=tag("BurnedInAnnotation", "NO")))) == []


def test_38_private_tags_and_odd_names(tmp_path: Path, in_shard: InShard) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = "Planted^Žofie\0^20260102"
        dataset.Manufacturer = "Ma\0ker\n"
        block = dataset.private_block(0x0019, "PLANTED-MAKER", create=True)
        block.add_new(0x10, "LO", "PLANTED-PRIVATE")

    assert flags(in_shard(write_series(tmp_path / "in", body_hu(), change=change))) == []
    written = outputs(tmp_path / "shard")
    assert not [word for word in (b"PLANTED", b"Planted", "Žofie".encode(), b"20260102") if word in written]
    assert b'"Manufacturer": "Maker"' in written


def test_39_names_in_a_nifti_header(tmp_path: Path, in_shard: InShard) -> None:
    path = write_nifti(tmp_path / "a.nii", body_hu(12, 12, 12).astype(np.int16))
    data = bytearray(path.read_bytes())
    data[148:228] = b"PLANTED-NAME of the patient".ljust(80, b"\0")  # descrip
    data[228:252] = b"PLANTED-AUX".ljust(24, b"\0")  # aux_file
    data[328:344] = b"PLANTED-INTENT".ljust(16, b"\0")  # intent_name
    path.write_bytes(data)
    assert nib.load(path).header["descrip"].item().startswith(b"PLANTED")
    assert flags(in_shard(path)) == []
    assert b"PLANTED" not in outputs(tmp_path / "shard")


HU = body_hu(12, 12, 12).astype(np.int16)


def with_header(path: Path, at: int, values: np.ndarray) -> Path:
    """A good NIfTI with some bytes of its header replaced."""
    data = bytearray(write_nifti(path, HU).read_bytes())
    data[at : at + values.nbytes] = values.tobytes()
    path.write_bytes(data)
    return path


def two_forms(path: Path) -> Path:
    image = nib.Nifti1Image(HU, None)
    image.set_sform(PIR, 1)
    image.set_qform(PIR * [1, 1, -1, 1], 1)
    image.to_filename(path)
    return path


NIFTI_FAULTS: dict[str, tuple[Any, tuple[str, str], str]] = {
    "forms differ": (two_forms, ("excluded", "conflicting_orientation"), "set both to the true one"),
    "identity": (lambda p: write_nifti(p, HU, np.eye(4)), ("excluded", "no_orientation"), "restore the header"),
    "no form": (lambda p: write_nifti(p, HU, PIR, (0, 0)), ("excluded", "no_orientation"), "restore the header"),
    "zero spacing": (
        lambda p: with_header(p, 280, np.zeros(12, "<f4")),
        ("failed", "bad_affine"),
        "voxel size not within 0.05 to 20 mm; restore the header",
    ),
    "4-D": (lambda p: write_nifti(p, np.stack([HU, HU], 3)), ("excluded", "not_3d"), "give one 3-D volume"),
    "slope overflow": (
        lambda p: with_header(p, 112, np.array([1000, 0], "<f4")),
        ("failed", "hu_out_of_range"),
        "the NIfTI: values below -32768 are no HU",
    ),
}


@pytest.mark.parametrize(("make", "expected", "text"), NIFTI_FAULTS.values(), ids=NIFTI_FAULTS.keys())
def test_41_headers_of_nifti(
    make: Any, expected: tuple[str, str], text: str, tmp_path: Path, in_shard: InShard
) -> None:
    state = in_shard(make(tmp_path / "a.nii"))
    assert verdict(state) == expected
    assert text in state["message"]


def test_41_left_handed_and_singleton_are_legal(tmp_path: Path, in_shard: InShard) -> None:
    assert np.linalg.det((PIR * [1, 1, -1, 1])[:3, :3]) < 0 < np.linalg.det(PIR[:3, :3])
    for affine in (PIR, PIR * [1, 1, -1, 1]):
        assert flags(in_shard(write_nifti(tmp_path / "a.nii", HU[..., None], affine))) == []
        volume = read_volume(tmp_path / "shard/scan-1_ct.nii.gz")
        turned = nib.as_closest_canonical(nib.Nifti1Image(HU, affine))
        np.testing.assert_array_equal(volume.hu, turned.dataobj)
        np.testing.assert_allclose(volume.affine, turned.affine, atol=1e-4)
