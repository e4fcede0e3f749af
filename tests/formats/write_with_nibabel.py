"""Writes small NIfTI files of every kind with nibabel, and what nibabel reads from them.

    python tests/formats/write_with_nibabel.py tests/golden/formats

Needs nibabel and numpy. The files are part of the project; crates/volume/tests/written_by_nibabel.rs
holds our reader against expected.json. Run it again to add a kind; the output is the same every time.
"""

import gzip
import io
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (3, 4, 5)
SCALARS = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
MM = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}


def values(dtype, shape=SHAPE):
    """Counts up, with the extremes of the type that float32 can tell at the front."""
    data = np.arange(np.prod(shape)).reshape(shape, order="F").astype(dtype)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        data[0, 0, 0], data[1, 0, 0] = info.min, info.max
        data[2, 0, 0] = min(info.max, 2**40 + 1)
    else:
        data[0, 0, 0], data[1, 0, 0], data[2, 0, 0] = -1.5e30, 3.1e-30, 1 / 3
    return data


def rotation(x, y, z):
    """Degrees about each axis."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians([x, y, z])), np.sin(np.radians([x, y, z]))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def affine(matrix, spacing, origin):
    out = np.eye(4)
    out[:3, :3] = np.asarray(matrix, float) * np.asarray(spacing, float)
    out[:3, 3] = origin
    return out


PLAIN = affine(np.eye(3), (1.0, 1.25, 2.5), (-30.0, 12.5, 7.0))
OBLIQUE = affine(rotation(12, -25, 40), (0.9, 1.1, 3.0), (-80.0, 21.0, -64.5))
LEFT_HANDED = affine(rotation(5, 10, -15) @ np.diag([-1, 1, 1]), (1.0, 1.0, 1.5), (90.0, -60.0, 10.0))
PSR = affine([[0, 0, 1], [-1, 0, 0], [0, 1, 0]], (1.0, 1.0, 1.33), (-70.0, 100.0, -110.0))


class Folder:
    def __init__(self, path):
        self.path, self.expected = path, {}
        path.mkdir(parents=True, exist_ok=True)
        for old in path.iterdir():
            old.unlink()

    def image(self, data, matrix=PLAIN, dtype=None, order="<", qform=None, sform=1, kind=nib.Nifti1Image):
        """An image with the given form codes; `None` leaves a form out."""
        header = kind.header_class(endianness=order)
        header.set_data_dtype(dtype or data.dtype)
        image = kind(data, matrix, header)
        image.header.set_xyzt_units("mm")
        image.set_sform(matrix if sform else None, code=sform or 0)
        image.set_qform(matrix if qform else None, code=qform or 0)
        if not qform:
            spacing = np.linalg.norm(matrix[:3, :3], axis=0)
            image.header["pixdim"][1:4] = spacing
        return image

    def add(self, name, image, edit=None, **expected):
        """Writes the image and notes what nibabel reads; `edit` changes the bytes of the file."""
        data = image.to_bytes()
        data = edit(data) if edit else data
        if name.endswith(".gz") and data[:2] != b"\x1f\x8b":
            data = member(data)
        (self.path / name).write_bytes(data)
        self.note(name, **expected)

    def note(self, name, refused=None, affine_known=True):
        if refused:
            self.expected[name] = {"refused": refused}
            return
        image = nib.load(self.path / name)
        data = np.asanyarray(image.dataobj.get_unscaled(), dtype=np.float64)
        slope, inter = image.dataobj.slope, image.dataobj.inter
        read = image.get_fdata(dtype=np.float64)
        assert np.allclose(read, data * slope + inter, rtol=1e-12)
        scale = MM[image.header.get_xyzt_units()[0]]
        matrix = image.affine.copy()
        matrix[:3] *= scale
        shape = list(read.shape) + [1] * (3 - read.ndim)
        frames = int(np.prod(shape[3:])) if len(shape) > 3 else 1
        self.expected[name] = {
            "shape": shape[:3],
            "frames": frames,
            "affine": matrix[:3].tolist() if affine_known else None,
            "spacing": (np.linalg.norm(matrix[:3, :3], axis=0)).tolist(),
            "qform_code": int(image.header["qform_code"]),
            "sform_code": int(image.header["sform_code"]),
            "values": [float(v) for v in read.astype(np.float32).ravel(order="F")],
        }


def member(data):
    """A gzip member without name and time."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as stream:
        stream.write(data)
    return out.getvalue()


def datatypes(folder):
    for order, word in (("<", "little"), (">", "big")):
        for dtype in SCALARS:
            image = folder.image(values(dtype), dtype=dtype, order=order)
            image.header.set_slope_inter(1, 0)
            folder.add(f"{dtype}_{word}.nii", image)
            assert folder.expected[f"{dtype}_{word}.nii"]["values"][3] == 3.0
    for dtype, why in (("complex64", "complex voxels"), ("complex128", "complex voxels")):
        folder.add(f"{dtype}.nii", folder.image(np.zeros(SHAPE, dtype)), refused=why)
    for name, bands, why in (("rgb24", "RGB", "colour voxels"), ("rgba32", "RGBA", "colour voxels")):
        dtype = np.dtype([(band, "u1") for band in bands])
        folder.add(f"{name}.nii", folder.image(np.zeros(SHAPE, dtype)), refused=why)
    # numpy has no 128-bit float of IEEE: complex voxels of that width under another code.
    image, code = folder.image(np.zeros(SHAPE, "complex128")), np.int16(1536).tobytes()
    folder.add("float128.nii", image, edit=lambda b: b[:70] + code + b[72:], refused="128-bit voxels")


def scaling(folder):
    for order, word in (("<", "little"), (">", "big")):
        for slope, inter, name in ((0.35, 0.0, "slope"), (2.5, -1024.0, "slope_intercept"), (-1.0, 60.0, "negative")):
            data = np.arange(60, dtype=np.int16).reshape(SHAPE, order="F")
            image = folder.image(data * slope + inter, dtype=np.int16, order=order)
            image.header.set_slope_inter(slope, inter)
            folder.add(f"{name}_{word}.nii", image)
    data = np.arange(60, dtype=np.int16).reshape(SHAPE, order="F")
    for slope, inter, name in ((0.0, 5.0, "slope_zero"), (np.nan, np.nan, "slope_nan")):
        raw = np.array([slope, inter], "<f4").tobytes()
        folder.add(f"{name}.nii", folder.image(data), edit=lambda b, raw=raw: b[:112] + raw + b[120:])


def geometry(folder):
    data = values("int16")
    forms = {
        "sform_only": dict(sform=1), "qform_only": dict(sform=None, qform=1), "both": dict(sform=2, qform=1),
    }
    for form, codes in forms.items():
        for matrix, word in ((PLAIN, "plain"), (OBLIQUE, "oblique"), (LEFT_HANDED, "left_handed"), (PSR, "psr")):
            folder.add(f"{form}_{word}.nii.gz", folder.image(data, matrix, **codes))
    folder.add("forms_big_endian.nii.gz", folder.image(data, OBLIQUE, order=">", sform=4, qform=1))
    image = folder.image(data, OBLIQUE, sform=2)
    image.set_qform(PLAIN, code=1)
    folder.add("forms_disagree.nii.gz", image)
    # The standard's method 1 has x grow to the right; nibabel turns it to the left, as SPM does.
    folder.add("no_form.nii.gz", folder.image(data, sform=None), affine_known=False)
    for unit in ("meter", "micron", "unknown"):
        image = folder.image(data)
        matrix = PLAIN.copy()
        matrix[:3] /= MM[unit]
        image.set_sform(matrix, code=1)
        image.header["pixdim"][1:4] = np.linalg.norm(matrix[:3, :3], axis=0)
        image.header.set_xyzt_units(unit)
        folder.add(f"unit_{unit}.nii.gz", image)


def layouts(folder):
    data = values("int16")
    folder.add("one_frame_4d.nii.gz", folder.image(data[..., None]))
    folder.add("one_frame_6d.nii.gz", folder.image(data.reshape(*SHAPE, 1, 1, 1)))
    frames = np.stack([data, data // 2, data // 3], axis=-1)
    folder.add("three_frames.nii.gz", folder.image(frames))
    folder.add("flat_2d.nii.gz", folder.image(data[:, :, 0]))
    folder.add("vectors_5d.nii.gz", folder.image(np.stack([frames] * 3, axis=-1)), refused="more than four dimensions")
    for code, name in (("label", "intent_label"), ("z score", "intent_z_score"), ("estimate", "intent_estimate")):
        image = folder.image(data)
        image.header.set_intent(code, name=name)
        folder.add(f"{name}.nii.gz", image)
    image = folder.image(data)
    for text in (b"a comment", b"another, longer than one block of sixteen bytes"):
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", text))
    folder.add("extensions.nii.gz", image)
    folder.add("extensions_plain.nii", image)
    folder.add("trailing_bytes.nii", folder.image(data), edit=lambda b: b + bytes(777))
    folder.add("trailing_bytes.nii.gz", folder.image(data), edit=lambda b: member(b + b"more"))
    folder.add("padded_gzip.nii.gz", folder.image(data), edit=lambda b: member(b) + bytes(512))
    cut = (100, 348, 400)
    for number, at in enumerate(cut):
        folder.add(f"members_{number}.nii.gz", folder.image(data), edit=lambda b, at=at: member(b[:at]) + member(b[at:]))
    folder.add("members_many.nii.gz", folder.image(data), edit=lambda b: b"".join(member(b[i:i + 50]) for i in range(0, len(b), 50)))
    image = nib.Nifti1Pair(data, OBLIQUE)
    image.header.set_xyzt_units("mm")
    for name in ("pair.hdr", "big_pair.hdr"):
        if name.startswith("big"):
            image = nib.Nifti1Pair(data, OBLIQUE, image.header.as_byteswapped(">"))
        nib.save(image, folder.path / name)
        folder.note(name)
    labels = (values("uint8") % 4).astype(np.float32)
    folder.add("labels_as_float.nii.gz", folder.image(labels))


def second_version(folder):
    two = dict(kind=nib.Nifti2Image)
    data = values("int16")
    for order, word in (("<", "little"), (">", "big")):
        for dtype in ("uint8", "int16", "uint32", "int64", "float32", "float64"):
            image = folder.image(values(dtype), dtype=dtype, order=order, **two)
            image.header.set_slope_inter(1, 0)
            folder.add(f"nifti2_{dtype}_{word}.nii", image)
        image = folder.image(np.arange(60, dtype=np.int16).reshape(SHAPE, order="F") * 0.1 - 7, dtype=np.int16, order=order, **two)
        image.header.set_slope_inter(0.1, -7)
        folder.add(f"nifti2_scaled_{word}.nii.gz", image)
        for form, codes in (("sform", dict(sform=2)), ("qform", dict(sform=None, qform=1)), ("both", dict(sform=2, qform=1))):
            for matrix, place in ((OBLIQUE, "oblique"), (LEFT_HANDED, "left_handed")):
                folder.add(f"nifti2_{form}_{place}_{word}.nii.gz", folder.image(data, matrix, order=order, **codes, **two))
        image = nib.Nifti2Pair(data, OBLIQUE, nib.Nifti2Pair.header_class(endianness=order))
        image.header.set_xyzt_units("mm")
        nib.save(image, folder.path / f"nifti2_pair_{word}.hdr")
        folder.note(f"nifti2_pair_{word}.hdr")
    image = folder.image(data, **two)
    image.header.set_xyzt_units("micron")
    folder.add("nifti2_micron.nii.gz", image)
    folder.add("nifti2_frames.nii.gz", folder.image(np.stack([data, data // 2], axis=-1), **two))
    image = folder.image(data, **two)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a comment"))
    image.header.set_intent("label", name="label")
    image.header["descrip"] = b"NIfTI-2 of nibabel"
    folder.add("nifti2_extension.nii", image)


def main():
    folder = Folder(Path(sys.argv[1]))
    for kinds in (datatypes, scaling, geometry, layouts, second_version):
        kinds(folder)
    lines = [f"  {json.dumps(name)}: {json.dumps(folder.expected[name])}" for name in sorted(folder.expected)]
    (folder.path / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    size = sum(file.stat().st_size for file in folder.path.iterdir())
    print(f"{len(lines)} files, {size} bytes with expected.json, nibabel {nib.__version__}")


main()
