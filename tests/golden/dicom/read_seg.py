"""What highdicom and pydicom read of the SEG files here: `python read_seg.py` in this folder writes seg_expected.json.

Needs highdicom and pydicom. The SEG files are this project's own, written by
`UDAS_WRITE_GOLDEN=1 cargo test --workspace --test dicom`.
"""
import json
import pathlib

import highdicom
import numpy as np
import pydicom

HERE = pathlib.Path(__file__).parent
expected = {}
for name, source in [("seg_single.dcm", "explicit"), ("seg_multi.dcm", "enhanced")]:
    seg = highdicom.seg.segread(HERE / name)
    plain = pydicom.dcmread(HERE / name)
    images = [pydicom.dcmread(path) for path in sorted((HERE / source).iterdir())]
    normal = np.cross(*np.reshape(plain.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)))
    if len(images) > 1:
        images.sort(key=lambda image: np.dot(image.ImagePositionPatient, normal))
        uids = [image.SOPInstanceUID for image in images]
        pixels = seg.get_pixels_by_source_instance(
            uids, combine_segments=True, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
        )
    else:
        groups = images[0].PerFrameFunctionalGroupsSequence
        places = [np.dot(group.PlanePositionSequence[0].ImagePositionPatient, normal) for group in groups]
        frames = [int(frame) + 1 for frame in np.argsort(places)]
        pixels = seg.get_pixels_by_source_frame(
            images[0].SOPInstanceUID, frames, combine_segments=True, ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )
    volume = seg.get_volume(combine_segments=True)
    first = images[0]
    for keyword in ["PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "FrameOfReferenceUID"]:
        assert seg[keyword].value == first[keyword].value, keyword
    assert not seg.file_meta.TransferSyntaxUID.is_compressed
    expected[name] = {
        "labels": pixels.astype(int).ravel().tolist(),
        "segments": [
            {
                "number": int(item.segment_number),
                "label": item.segment_label,
                "category": [item.segmented_property_category.value, item.segmented_property_category.meaning],
                "type": [item.segmented_property_type.value, item.segmented_property_type.meaning],
                "algorithm": item.algorithm_type.value,
            }
            for item in (seg.get_segment_description(number) for number in seg.segment_numbers)
        ],
        "volume_shape": list(volume.spatial_shape),
        "volume_affine": np.round(volume.affine, 6).tolist(),
        "volume_marked": int((volume.array > 0).sum()),
        "patient": str(seg.PatientName),
        "study": seg.StudyInstanceUID,
        "frames_by_pydicom": int(plain.pixel_array.reshape(-1, plain.Rows, plain.Columns).shape[0]),
        "marked_by_pydicom": int(plain.pixel_array.sum()),
        "referenced": len(plain.ReferencedSeriesSequence[0].ReferencedInstanceSequence),
    }
    print(name, {key: value for key, value in expected[name].items() if key != "labels"})
lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in expected.items()]
(HERE / "seg_expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
