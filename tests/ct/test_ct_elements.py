"""Headers are walked or left to pydicom: either way their values are pydicom's."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom.data
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from ct.ct_series import body_hu, make_slice
from vertegrade.ct import elements
from vertegrade.ct.dicom import quiet_reading
from vertegrade.ct.elements import HEAD_BYTES, Header, read_elements
from vertegrade.ct.slices import READ_TAGS

BUNDLED = sorted(path for path in Path(pydicom.data.__file__).parent.rglob("*") if path.is_file())


def file_bytes(change: Callable[[Dataset], None] | None = None, syntax: str | None = None) -> bytes:
    """A slice as a file, of 600 bytes and its pixels, changed before it is written."""
    dataset = make_slice(body_hu(1)[0], [0.0, 0.0, 5.0])
    if syntax is not None:
        dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].VR = "OW"
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if change is not None:
            change(dataset)
        dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def plain(header: Header) -> tuple[dict[str, tuple[type, str]], tuple[bool, bool], int | None]:
    """A header so that two can be compared: a value's type counts, and NaN is equal to NaN."""
    return {tag: (type(value), repr(value)) for tag, value in header.values.items()}, header.encoding, header.pixels_at


def by_pydicom(data: bytes) -> Header:
    with quiet_reading():
        return elements._by_pydicom(io.BytesIO(data), READ_TAGS)


def texts(character_set: str | list[str], **values: Any) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = character_set
        for tag, value in values.items():
            setattr(dataset, tag, value)

    return change


def padded(dataset: Dataset) -> None:
    dataset.PixelRepresentation = 1
    dataset.add_new("PixelPaddingValue", "SS", -2000)
    dataset.add_new("PixelPaddingRangeLimit", "SS", -1990)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    "change",
    [
        None,
        padded,
        texts("ISO_IR 192", Manufacturer="Größe 株式会社"),
        texts(["", "ISO 2022 IR 87"], ContrastBolusAgent="ヨード"),
        texts("", Manufacturer=""),
        texts("ISO_IR 100", SliceThickness=None, ConvolutionKernel=None, InstanceNumber=None, KVP="nan"),
        lambda dataset: dataset.add_new(0x00091001, "LO", "a private element"),
    ],
)
def test_plain_headers_are_walked(change: Callable[[Dataset], None] | None, syntax: str | None) -> None:
    data = file_bytes(change, syntax)
    with quiet_reading():
        walked = elements._walked(data[:HEAD_BYTES], READ_TAGS)
    assert walked is not None
    assert plain(walked) == plain(by_pydicom(data))


def undefined_sequence(dataset: Dataset) -> None:
    item = Dataset()
    item.CodeValue = "1"
    dataset.ProcedureCodeSequence = [item]
    dataset["ProcedureCodeSequence"].is_undefined_length = True


def long(dataset: Dataset) -> None:
    dataset.ImageComments = "x" * HEAD_BYTES
    dataset.DerivationDescription = "y" * 900


@pytest.mark.parametrize(
    ("change", "syntax"),
    [
        (undefined_sequence, None),
        (undefined_sequence, ImplicitVRLittleEndian),
        (long, None),
        (lambda dataset: dataset.pop("PixelData"), None),
        (None, DeflatedExplicitVRLittleEndian),
        (None, ExplicitVRBigEndian),
    ],
)
def test_others_are_left_to_pydicom(change: Callable[[Dataset], None] | None, syntax: str | None) -> None:
    if syntax == ExplicitVRBigEndian:
        data = (Path(pydicom.data.__file__).parent / "test_files" / "ExplVR_BigEnd.dcm").read_bytes()
    else:
        data = file_bytes(change, syntax)
    with quiet_reading():
        assert elements._walked(data[:HEAD_BYTES], READ_TAGS) is None
        assert plain(read_elements(io.BytesIO(data), READ_TAGS)) == plain(by_pydicom(data))


def test_an_unknown_vr_of_a_wanted_element_is_left_to_pydicom() -> None:
    data = file_bytes().replace(b"\x08\0p\0LO\6\0", b"\x08\0p\0UN\0\0\6\0\0\0")
    with quiet_reading():
        assert elements._walked(data, READ_TAGS) is None
        assert read_elements(io.BytesIO(data), READ_TAGS).values["Manufacturer"] == "Maker"


def same_or_left(data: bytes) -> bool:
    """Whether a header is walked, after a check that the outcome is pydicom's."""
    with quiet_reading():
        try:
            walked = elements._walked(data[:HEAD_BYTES], READ_TAGS)
        except Exception as error:
            with pytest.raises(type(error)):
                by_pydicom(data)
            return False
    if walked is None:
        return False
    assert plain(walked) == plain(by_pydicom(data))
    return True


def test_pydicoms_own_files() -> None:
    assert sum(same_or_left(path.read_bytes()) for path in BUNDLED) >= 20


EXPLICIT, IMPLICIT = file_bytes(padded), file_bytes(padded, ImplicitVRLittleEndian)


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from([EXPLICIT, IMPLICIT]),
    damage=st.lists(st.tuples(st.integers(132, 900), st.integers(0, 255)), min_size=1, max_size=3),
    cut=st.one_of(st.none(), st.integers(0, 900)),
)
@example(data=EXPLICIT, damage=[(0, 0)], cut=None)
@example(data=IMPLICIT, damage=[(0, 0)], cut=None)
def test_damaged_headers(data: bytes, damage: list[tuple[int, int]], cut: int | None) -> None:
    damaged = bytearray(data)
    for place, value in damage:
        damaged[min(place, len(damaged) - 1)] = value
    same_or_left(bytes(damaged[:cut]))
