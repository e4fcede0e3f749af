"""Writes DICOM SEG files with highdicom, of the series here: `python make_seg.py` in this folder.

Needs highdicom, pydicom and numpy. `highdicom_seg.json` has the labels that were put in, on the grid of the series.
"""
import json
import pathlib

import highdicom as hd
import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

HERE = pathlib.Path(__file__).parent
KINDS = hd.seg.SegmentationTypeValues


def sources(folder):
    images = [pydicom.dcmread(path) for path in sorted((HERE / folder).iterdir())]
    if len(images) == 1:
        return images
    normal = np.cross(*np.reshape(images[0].ImageOrientationPatient, (2, 3)))
    return sorted(images, key=lambda image: np.dot(image.ImagePositionPatient, normal))


def segments(count):
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"part {number}",
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.Brain,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(1, count + 1)
    ]


def write(name, folder, kind, array, count, syntax=ExplicitVRLittleEndian, **options):
    images = sources(folder)
    seg = hd.seg.Segmentation(
        source_images=images, pixel_array=array, segmentation_type=kind, segment_descriptions=segments(count),
        series_instance_uid=f"1.2.3.{len(name)}.1", series_number=1, sop_instance_uid=f"1.2.3.{len(name)}.2",
        instance_number=1, manufacturer="highdicom", manufacturer_model_name="test", software_versions="1",
        device_serial_number="1", omit_empty_frames=True, transfer_syntax_uid=syntax, **options,
    )
    seg.ContentDate = seg.InstanceCreationDate = "20260101"
    seg.ContentTime = seg.InstanceCreationTime = "120000"
    seg.save_as(HERE / name)
    return seg


def main():
    images = sources("explicit")
    slices, rows, columns = len(images), images[0].Rows, images[0].Columns
    index = np.arange(slices * rows * columns).reshape(slices, rows, columns)
    labels = np.where(index % 5 == 1, 1, np.where(index % 7 == 2, 2, 0)).astype(np.uint8)
    labels[1] = 0  # a slice without a frame, between others
    expected = {}
    write("highdicom_binary.dcm", "explicit", KINDS.BINARY, labels, 2)
    expected["highdicom_binary.dcm"] = labels
    write("highdicom_labelmap.dcm", "explicit", KINDS.LABELMAP, labels, 2)
    expected["highdicom_labelmap.dcm"] = labels
    share = (index % 11 / 10).astype(np.float32)
    share[0] = 0
    options = dict(fractional_type=hd.seg.SegmentationFractionalTypeValues.PROBABILITY, max_fractional_value=200)
    write("highdicom_fractional.dcm", "explicit", KINDS.FRACTIONAL, share, 1, **options)
    write("highdicom_rle.dcm", "explicit", KINDS.FRACTIONAL, share, 1, RLELossless, **options)
    half = (np.around(share * 200) >= 100).astype(np.uint8)
    expected["highdicom_fractional.dcm"] = expected["highdicom_rle.dcm"] = half
    both = np.stack([index % 2 == 0, index % 3 == 0], axis=-1).astype(np.uint8)
    write("highdicom_overlap.dcm", "explicit", KINDS.BINARY, both, 2)
    lines = {name: {"source": "explicit", "labels": array.ravel().tolist()} for name, array in expected.items()}
    (HERE / "highdicom_seg.json").write_text(json.dumps(lines) + "\n")
    print({name: int((array > 0).sum()) for name, array in expected.items()})


main()
