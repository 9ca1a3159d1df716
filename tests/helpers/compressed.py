"""DICOM files rewritten in every transfer syntax that CT comes in."""

import base64
from pathlib import Path

import gdcm
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

LOSSLESS = [
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
]
BY_GDCM = {
    JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
    JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGBaseline8Bit: gdcm.TransferSyntax.JPEGBaselineProcess1,
    JPEGExtended12Bit: gdcm.TransferSyntax.JPEGExtendedProcess2_4,
}
# Nothing in the lock writes HTJ2K: OpenJPH 0.26.3 (by imagecodecs 2026.3.6) wrote this, reversible, of HT_STORED.
HT_STORED = ((np.arange(16)[:, None] * 97 + np.arange(16) * 31) % 2200).astype("<u2")
HT_STREAM = base64.b64decode(
    "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQ"
    "kJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAH4AAf+TwAAma/sFB3QAAMAAE0AAEwA2/gIHdADs/gKHdADAABNAABOAGhoB"
    "gnQAdNP9AINUAMAAFTAABVAKhULxqnECdQCyZWVlwDGB7LYAwAArYAAWiJxzzjnn58p6enACeADAQCAQCAQC/YhAe/YhAey6AP/Z"
)


def compress(file: Path, syntax: str) -> None:
    """Rewrite one uncompressed DICOM file in a transfer syntax; HTJ2K only where its stored values are HT_STORED."""
    if syntax in BY_GDCM:
        _by_gdcm(file, BY_GDCM[syntax])
        assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == syntax
        return
    dataset = pydicom.dcmread(file)
    if syntax in (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL):
        np.testing.assert_array_equal(dataset.pixel_array, HT_STORED)
        dataset.PixelData = encapsulate([HT_STREAM])
        dataset["PixelData"].is_undefined_length = True
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    elif syntax not in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        dataset.compress(syntax)
    plain = pydicom.Dataset({element.tag: element for element in dataset})  # forgets how it was read
    plain.file_meta = dataset.file_meta
    plain.file_meta.TransferSyntaxUID = syntax
    plain.preamble = b"\0" * 128
    plain.save_as(file, enforce_file_format=True)


def _by_gdcm(file: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(file))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(file))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
