"""Series as pydicom, GDCM and imagecodecs write them, and what they hold by numpy: `python make.py` in this folder.

Needs pydicom, numpy, python-gdcm (for JPEG) and imagecodecs (for JPEG 2000 by OpenJPEG and HTJ2K by OpenJPH). Written here:
a folder a series, and expected.json. Every series is of four slices, whose files' names are in no order; values are made up,
of no person.
"""
import json
import pathlib
import shutil

import gdcm
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    JPEG2000,
    HTJ2KLossless,
    JPEG2000Lossless,
)

HERE = pathlib.Path(__file__).parent
ROWS, COLUMNS, SLICES = 6, 9, 4
NAMES = ["c", "a.dcm", "d.ima", "b"]
ROW = np.array([0.8, 0.6, 0.0])
COLUMN = np.array([0.0, 0.0, -1.0])
NORMAL = np.cross(ROW, COLUMN)
SPACING = [1.25, 0.75]
STEP = 3.5
ORIGIN = np.array([-20.5, 11.25, 40.0])
expected = {}


def uid(*parts):
    return "1.2.826.0.1.3680043.10.1604." + ".".join(str(part) for part in parts)


def base(series, number, sop_class, syntax):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid(series, number)
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = uid(0)
    data = FileDataset(
        None,
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )
    data.SOPClassUID, data.SOPInstanceUID = sop_class, uid(series, number)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientName, data.PatientID = "Müller^Jörg", "4711"
    data.PatientBirthDate, data.PatientSex = "19500101", "O"
    data.StudyInstanceUID, data.SeriesInstanceUID = uid(series, "1", "0"), uid(series, "2", "0")
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = uid(series, "3", "0"), ""
    data.StudyDate, data.StudyTime, data.StudyID = "20200102", "030405", "S1"
    data.AccessionNumber, data.ReferringPhysicianName = "A1", ""
    data.Modality = "CT" if sop_class == CTImageStorage else "MR"
    data.SeriesNumber, data.InstanceNumber = 3, number
    data.Manufacturer = "nobody"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    data.Rows, data.Columns, data.SamplesPerPixel = ROWS, COLUMNS, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    # Private elements and a nested sequence of no interest must not disturb.
    block = data.private_block(0x0019, "NOBODY", create=True)
    block.add_new(0x01, "OB", bytes(range(64)))
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99X", "nothing"
    data.ProcedureCodeSequence = Sequence([item])
    return data


def set_bits(data, stored, signed):
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, stored, stored - 1
    data.PixelRepresentation = int(signed)


def volume(signed, low, high, seed):
    values = np.random.default_rng(seed).integers(low, high, (SLICES, ROWS, COLUMNS))
    return values.astype(np.int16 if signed else np.uint16)


def affine():
    columns = [ROW * SPACING[1], COLUMN * SPACING[0], NORMAL * STEP, ORIGIN]
    matrix = np.stack(columns, axis=1)
    matrix[:2] *= -1
    return (matrix + 0.0).tolist()


def expect(name, values):
    # values: slice, row, column; column fastest is how volumes lie in memory.
    expected[name] = {
        "shape": [COLUMNS, ROWS, SLICES],
        "affine": affine(),
        "values": np.asarray(values, dtype=np.float32).ravel().tolist(),
    }


def folder(name):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def place(data, index):
    data.ImageOrientationPatient = [*ROW.tolist(), *COLUMN.tolist()]
    data.ImagePositionPatient = (ORIGIN + index * STEP * NORMAL).round(6).tolist()
    data.PixelSpacing, data.SliceThickness = SPACING, 5.0


def single(name, number, syntax, signed=True, stored=12, sop_class=MRImageStorage, rescaled=True):
    low, high = (-(1 << stored - 1), 1 << stored - 1) if signed else (0, 1 << stored)
    pixels = volume(signed, low, high, number)
    path, values = folder(name), []
    for index in range(SLICES):
        data = base(number, index + 1, sop_class, syntax)
        set_bits(data, stored, signed)
        place(data, index)
        slope, intercept = (0.5 + index, -1024.0 + 10 * index) if rescaled else (1.0, 0.0)
        if rescaled:
            data.RescaleSlope, data.RescaleIntercept = slope, intercept
        if syntax == RLELossless:
            data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            raw = pixels[index].view(np.uint16) & ((1 << stored) - 1)
            data.PixelData = raw.astype("<u2").tobytes()
            data.compress(RLELossless)
        else:
            raw = pixels[index].view(np.uint16) & ((1 << stored) - 1)
            order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
            data.PixelData = raw.astype(order).tobytes()
            data["PixelData"].VR = "OW"
        data.save_as(path / NAMES[index], enforce_file_format=True)
        values.append(pixels[index] * slope + intercept)
    expect(name, values)
    return path


def transcode(name, source, syntax):
    """By GDCM, of a series that is there."""
    path = folder(name)
    for file in sorted(source.iterdir()):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(file))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetFileName(str(path / file.name))
        writer.SetImage(change.GetOutput())
        assert writer.Write()


def encoded(name, source, syntax, code):
    """By a function of one slice's values, of a series that is there."""
    path = folder(name)
    for file in sorted(source.iterdir()):
        data = pydicom.dcmread(file)
        data.PixelData = encapsulate([code(data.pixel_array)])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = syntax
        data.save_as(path / file.name, enforce_file_format=True)


def enhanced(name, number):
    pixels = volume(False, 0, 4096, number)
    data = base(number, 1, EnhancedMRImageStorage, ExplicitVRLittleEndian)
    set_bits(data, 12, False)
    data.NumberOfFrames = SLICES
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [*ROW.tolist(), *COLUMN.tolist()]
    measures.PixelSpacing, measures.SliceThickness = SPACING, 5.0
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    order, frames, values = [2, 0, 3, 1], [], [None] * SLICES
    for index in order:
        frame, position, value, content = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = (ORIGIN + index * STEP * NORMAL).round(6).tolist()
        value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 2.0, float(index), "US"
        content.StackID, content.InStackPositionNumber = "1", index + 1
        frame.PlanePositionSequence = Sequence([position])
        frame.PixelValueTransformationSequence = Sequence([value])
        frame.FrameContentSequence = Sequence([content])
        frames.append(frame)
        values[index] = pixels[index] * 2.0 + index
    # Sequences and items of undefined length, as many scanners write them.
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    for frame in frames:
        frame.is_undefined_length_sequence_item = True
    data.PixelData = pixels[order].astype("<u2").tobytes()
    path = folder(name)
    data.save_as(path / "image", enforce_file_format=True)
    expect(name, values)
    compressed = pydicom.dcmread(path / "image")
    compressed.compress(RLELossless)
    path = folder(name + "_rle")
    compressed.save_as(path / "image", enforce_file_format=True)
    expect(name + "_rle", values)


explicit = single("explicit", 1, ExplicitVRLittleEndian)
single("implicit", 2, ImplicitVRLittleEndian, signed=False, stored=16, rescaled=False)
single("big_endian", 3, ExplicitVRBigEndian)
single("deflated", 4, DeflatedExplicitVRLittleEndian, sop_class=CTImageStorage)
single("rle", 5, RLELossless, signed=True, stored=16)
# Without slope and intercept, which GDCM leaves out of MR images.
unsigned = single("unsigned", 6, ExplicitVRLittleEndian, signed=False, stored=12, rescaled=False)
transcode("jpeg_lossless", unsigned, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
expected["jpeg_lossless"] = expected["unsigned"]
enhanced("enhanced", 7)
ct = single("signed", 8, ExplicitVRLittleEndian, stored=16, sop_class=CTImageStorage)
for name, form in [("jpeg_2000", "j2k"), ("jpeg_2000_jp2", "jp2")]:
    encoded(name, ct, JPEG2000Lossless, lambda slice: imagecodecs.jpeg2k_encode(slice, level=0, reversible=True, codecformat=form))
encoded("htj2k", ct, HTJ2KLossless, lambda slice: imagecodecs.htj2k_encode(slice, reversible=True))
encoded("jpeg_2000_lossy", unsigned, JPEG2000, lambda slice: imagecodecs.jpeg2k_encode(slice, level=0, reversible=False, codecformat="j2k", bitspersample=12))
for name in ["jpeg_2000", "jpeg_2000_jp2", "htj2k"]:
    expected[name] = expected["signed"]
# How far a voxel of what is not kept exactly may lie.
expected["jpeg_2000_lossy"] = {**expected["unsigned"], "within": 1.0}
(HERE / "expected.json").write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in expected.items()) + "\n}\n")
