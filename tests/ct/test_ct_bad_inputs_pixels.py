"""List 3.3 of bad inputs, 23 to 34: pixels and files. Numbers in the names are the list's."""

import faulthandler
import gzip
import signal
import struct
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from helpers.bad_inputs import InShard, flags, tag, verdict
from helpers.compressed import compress
from helpers.nifti import write_nifti
from helpers.series import body_hu, convert, make_slice, write_series
from vertegrade.ct import dicom, slices
from vertegrade.ct.volume import read_volume


def stored_as(values: np.ndarray, **tags: object) -> object:
    """A change that replaces the stored values of every slice, (slices, rows, columns), and sets tags."""

    def change(dataset: Dataset, index: int) -> None:
        dataset.PixelData = values[index].tobytes()
        for name, value in tags.items():
            setattr(dataset, name, value)

    return change


def test_23_no_decoder(tmp_path: Path, in_shard: InShard, monkeypatch: pytest.MonkeyPatch) -> None:
    change = lambda dataset, index: index == 0 and dataset.compress(RLELossless)  # noqa: E731
    folder = write_series(tmp_path / "in", body_hu(), change=change)
    assert flags(in_shard(folder)) == []

    def none(syntax: str) -> object:
        raise NotImplementedError

    known = slices.get_decoder
    monkeypatch.setattr(slices, "get_decoder", lambda syntax: (none if syntax == RLELossless else known)(syntax))
    state = in_shard(folder)
    assert verdict(state) == ("failed", "no_decoder")
    assert "slice000.dcm: compressed by RLE Lossless, which no decoder here reads; export it" in state["message"]


def test_23_an_unknown_syntax(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    file = folder / "slice003.dcm"
    file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0"))
    state = in_shard(folder)
    assert verdict(state) == ("failed", "no_decoder")
    assert "slice003.dcm: compressed by an unknown syntax" in state["message"]


def test_23_jpeg_of_12_bits(tmp_path: Path, in_shard: InShard) -> None:
    def twelve(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11

    folder = write_series(tmp_path / "in", body_hu(), change=twelve)
    compress(folder / "slice003.dcm", JPEGExtended12Bit)
    state = in_shard(folder)
    assert verdict(state) == ("failed", "no_decoder")
    assert "slice003.dcm: compressed by JPEG Extended (Process 2 and 4), which no decoder" in state["message"]


def test_23_once_compressed_with_loss(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("LossyImageCompression", "01")))
    assert (flags(state), state["warnings"]) == (["lossy"], "the images were once compressed with loss")


def test_24_truncated_pixels(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    file = folder / "slice004.dcm"
    file.write_bytes(file.read_bytes()[:-20])
    state = in_shard(folder)
    assert verdict(state) == ("failed", "bad_pixels")
    assert "slice004.dcm: the pixel data are cut short or cannot be decoded; copy" in state["message"]


@pytest.mark.parametrize("cut", [2, 3, 200])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless, JPEGLosslessSV1])
def test_24_truncated_compressed_pixels(cut: int, syntax: str, tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu(rows=20, columns=20))
    file = folder / "slice004.dcm"
    compress(file, syntax)
    assert flags(in_shard(folder)) == []
    dataset = pydicom.dcmread(file)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1).rstrip(b"\0")
    dataset.PixelData = encapsulate([frame[:-cut]])
    dataset.save_as(file)
    state = in_shard(folder)
    assert verdict(state) == ("failed", "bad_pixels")
    assert "slice004.dcm: the pixel data are cut short or cannot be decoded; copy" in state["message"]


@pytest.mark.parametrize("cut", [2, 3])
def test_24_a_decoder_that_does_not_miss_the_end(cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_plugin", lambda syntax: "gdcm")  # takes JPEG-LS without its end for whole
    folder = write_series(tmp_path / "in", body_hu(rows=20, columns=20))
    file = folder / "slice004.dcm"
    compress(file, JPEGLSLossless)
    assert flags(convert(folder, tmp_path)) == []
    dataset = pydicom.dcmread(file)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1).rstrip(b"\0")
    dataset.PixelData = encapsulate([frame[:-cut]])
    dataset.save_as(file)
    assert verdict(convert(folder, tmp_path)) == ("failed", "bad_pixels")


def test_24_a_compressed_file_cut_short(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    file = folder / "slice004.dcm"
    compress(file, JPEG2000Lossless)
    file.write_bytes(file.read_bytes()[:-40])
    state = in_shard(folder)
    assert verdict(state) == ("failed", "missing_pixels")
    assert "slice004.dcm: no pixel data, or cut short; copy" in state["message"]


def test_25_no_pixels(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("PixelData", None, 4)))
    assert verdict(state) == ("failed", "missing_pixels")
    assert "slice004.dcm: no pixel data, or cut short" in state["message"]


def test_26_monochrome1(tmp_path: Path, in_shard: InShard) -> None:
    plain = in_shard(write_series(tmp_path / "plain", body_hu()))
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("PhotometricInterpretation", "MONOCHROME1")))
    assert (flags(state), state["image_sha256"]) == ([], plain["image_sha256"])


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize(("value", "reason"), [(None, "missing_tag"), ("", "bad_tag"), ("nan", "bad_tag")])
def test_27_no_scale(name: str, value: str | None, reason: str, tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu(), change=tag(name, value, 4))
    state = in_shard(folder)
    assert verdict(state) == ("failed", reason)
    assert f"slice004.dcm: {name} is" in state["message"]


def test_27_a_slope_of_zero(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("RescaleSlope", "0", 4)))
    assert verdict(state) == ("failed", "bad_tag")
    assert "slice004.dcm: RescaleSlope is 0; export" in state["message"]


def test_27_a_slope_for_each_slice(tmp_path: Path, in_shard: InShard) -> None:
    def scale(dataset: Dataset, index: int) -> None:
        hu = body_hu()[index] * 2
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + index % 2), "-2048"
        dataset.PixelData = ((hu + 2048) // (1 + index % 2)).astype("<u2").tobytes()

    assert flags(in_shard(write_series(tmp_path / "in", body_hu(), change=scale))) == []
    hu = read_volume(tmp_path / "shard/scan-1_ct.nii.gz").hu
    np.testing.assert_array_equal(hu[::-1, ::-1].T, body_hu() * 2)


def tissue(slices: int = 12) -> np.ndarray:
    """HU (slices, 20, 20) with the shares of a body: air around, fat, soft tissue and a little bone."""
    rng = np.random.default_rng(4)
    return rng.choice([-1000, -100, 40, 50, 300], (slices, 20, 20), p=[0.4, 0.2, 0.2, 0.15, 0.05])


@pytest.mark.parametrize("intercept", ["0", "-2048"], ids=["lost", "twice"])
def test_28_a_wrong_offset(intercept: str, tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", tissue(), change=tag("RescaleIntercept", intercept)))
    assert verdict(state) == ("failed", "implausible_hu")
    assert "export the series again" in state["message"]


def test_28_values_beyond_12_bits(tmp_path: Path, in_shard: InShard) -> None:
    hu = tissue()
    hu[:, :10, :15] = 12000
    assert flags(in_shard(write_series(tmp_path / "in", hu))) == ["metal"]
    assert read_volume(tmp_path / "shard/scan-1_ct.nii.gz").hu.max() == 12000
    assert flags(in_shard(write_series(tmp_path / "cut", np.minimum(hu, 3071)))) == ["clipped", "metal"]


def test_28_values_beyond_16_bits(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("RescaleSlope", "100", 4)))
    assert verdict(state) == ("failed", "hu_out_of_range")
    assert "voxels above 32767, first in slice004.dcm, are no HU" in state["message"]


def test_29_padding(tmp_path: Path, in_shard: InShard) -> None:
    stored = tissue().astype("<i2")
    stored[:, 0] = -2000
    change = stored_as(stored, PixelRepresentation=1, RescaleIntercept="0", PixelPaddingValue=-2000)
    assert flags(in_shard(write_series(tmp_path / "in", tissue(), change=change))) == []
    hu = read_volume(tmp_path / "shard/scan-1_ct.nii.gz").hu[::-1, ::-1].T
    assert (hu[:, 0] == -1024).all()
    np.testing.assert_array_equal(hu[:, 1:], stored[:, 1:])


def test_30_constant_pixels(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", np.zeros((12, 10, 8))))
    assert verdict(state) == ("failed", "implausible_hu")
    assert "span less than 200 HU" in state["message"]


def test_30_nan_in_nifti(tmp_path: Path, in_shard: InShard) -> None:
    data = body_hu(12, 12, 12).astype(np.float32)
    data[3, 3, 3] = np.nan
    state = in_shard(write_nifti(tmp_path / "a.nii.gz", data))
    assert verdict(state) == ("failed", "not_finite")
    assert "fill them with -1024" in state["message"]


@pytest.mark.parametrize(
    ("name", "value", "flag"),
    [
        ("ContrastBolusAgent", "agent of note", "contrast"),
        ("ContrastBolusAgent", "None", ""),
        ("ContrastBolusAgentSequence", [Dataset()], "contrast"),
        ("ImageType", ["DERIVED", "SECONDARY", "AXIAL", "MONO_E_70"], "derived multi_energy"),
        ("MultienergyCTAcquisition", "YES", "multi_energy"),
    ],
)
def test_31_other_kinds_of_ct(name: str, value: object, flag: str, tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag(name, value)))
    assert state["flags"] == flag
    assert "agent of note" not in str(state)


def test_31_cone_beam_ct_that_says_so(tmp_path: Path, in_shard: InShard) -> None:
    x_ray_3d = tag("SOPClassUID", "1.2.840.10008.5.1.4.1.1.13.1.1")
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=x_ray_3d))
    assert verdict(state) == ("excluded", "not_ct")


def test_32_metal(tmp_path: Path, in_shard: InShard) -> None:
    hu = tissue()
    hu[:, :10, :15] = 2800
    assert flags(in_shard(write_series(tmp_path / "in", hu))) == ["metal"]


def test_33_a_header_that_promises_gigabytes(tmp_path: Path, in_shard: InShard) -> None:
    def lie(dataset: Dataset, index: int) -> None:
        dataset.Rows = dataset.Columns = 65535

    state = in_shard(write_series(tmp_path / "in", body_hu(), change=lie))
    assert verdict(state) == ("failed", "too_large")
    assert "slice000.dcm: 51538034700 voxels by the header, more than ct.max_voxels" in state["message"]


def test_33_a_jpeg_2000_stream_larger_than_its_header(tmp_path: Path, in_shard: InShard) -> None:
    def lie(dataset: Dataset, index: int) -> None:
        dataset.compress(JPEG2000Lossless)
        size = dataset.PixelData.index(b"\xff\x51") + 6  # of the image and of its tiles, in the SIZ marker
        data = bytearray(dataset.PixelData)
        for offset in (size, size + 16):
            data[offset : offset + 8] = struct.pack(">II", 60000, 60000)
        dataset.PixelData = bytes(data)

    folder = write_series(tmp_path / "in", body_hu(rows=40, columns=40), change=lie)
    state = in_shard(folder, memory_mb=500, scan_seconds=120)
    assert state["state"] == "failed"
    assert state["reason"] in ("bad_pixels", "too_much_memory", "conversion_crashed")


def test_33_a_nifti_that_promises_gigabytes(tmp_path: Path, in_shard: InShard) -> None:
    path = write_nifti(tmp_path / "a.nii", body_hu(12, 12, 12).astype(np.int16))
    data = bytearray(path.read_bytes())
    data[40:48] = np.array([3, 30000, 30000, 30000], "<i2").tobytes()  # dim
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(bytes(data) + bytes(2**20)))
    state = in_shard(tmp_path / "bomb.nii.gz")
    assert verdict(state) == ("failed", "too_large")
    assert "27000000000000 voxels by the header" in state["message"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(signal.SIGSEGV, "conversion_crashed"), (signal.SIGABRT, "conversion_crashed"), (None, "too_much_memory")],
)
def test_33_a_decoder_that_crashes_or_eats_memory(
    fault: signal.Signals | None,
    reason: str,
    tmp_path: Path,
    in_shard: InShard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    genuine = dicom._slice_hu

    def decode(item: slices.Slice) -> object:
        if item.name == "broken05.dcm":
            faulthandler.disable()  # pytest's
            signal.raise_signal(fault) if fault else np.ones(2**31, np.int64)
        return genuine(item)

    monkeypatch.setattr(dicom, "_slice_hu", decode)
    names = [f"broken{index:02d}.dcm" for index in range(12)]
    state = in_shard(write_series(tmp_path / "in", body_hu(), names=names))
    assert verdict(state) == ("failed", reason)


def test_33_a_decoder_that_hangs(tmp_path: Path, in_shard: InShard, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = dicom._slice_hu

    def decode(item: slices.Slice) -> object:
        if item.name == "broken05.dcm":
            assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 300
            signal.alarm(1)  # no test should wait for five minutes
            time.sleep(600)
        return genuine(item)

    monkeypatch.setattr(dicom, "_slice_hu", decode)
    names = [f"broken{index:02d}.dcm" for index in range(12)]
    state = in_shard(write_series(tmp_path / "in", body_hu(), names=names), scan_seconds=300)
    assert verdict(state) == ("failed", "took_too_long")
    assert "longer than ct.scan_seconds = 300; look at the files" in state["message"]


def test_34_an_empty_file(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    (folder / "slice004.dcm").write_bytes(b"")
    state = in_shard(folder)
    assert verdict(state) == ("failed", "broken_file")
    assert "slice004.dcm: the file is empty; copy" in state["message"]


def test_34_no_dicom_at_all(tmp_path: Path, in_shard: InShard) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.dcm").write_text("no CT here")
    state = in_shard(tmp_path / "in")
    assert verdict(state) == ("failed", "no_dicom")


def test_34_a_dicomdir_beside_the_slices(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    directory = make_slice(body_hu()[0], (0, 0, 0))
    directory.SOPClassUID = directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.save_as(folder / "DICOMDIR")
    state = in_shard(folder)
    assert (flags(state), state["slices"], state["warnings"]) == ([], 12, "")


def test_34_no_preamble(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[132:])
    state = in_shard(folder)
    assert verdict(state) == ("failed", "no_dicom")
    assert "no file here is DICOM (with its 128-byte preamble)" in state["message"]


def test_34_one_slice_without_preamble_is_a_missing_one(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    (folder / "slice004.dcm").write_bytes((folder / "slice004.dcm").read_bytes()[132:])
    assert verdict(in_shard(folder)) == ("failed", "missing_slices")


def test_34_a_preamble_that_is_a_program(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    for file in folder.iterdir():
        file.write_bytes(b"MZ" + b"\x90" * 126 + file.read_bytes()[128:])
    assert flags(in_shard(folder)) == []
    image = nib.load(tmp_path / "shard/scan-1_ct.nii.gz")
    assert b"\x90\x90\x90" not in image.header.binaryblock
