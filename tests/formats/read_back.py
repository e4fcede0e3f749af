"""Compares what other tools read from our files with what they read from the originals.

    cargo run -p udas-volume --example rewrite -- OUT FILE...
    python tests/formats/read_back.py OUT FILE...

Needs nibabel and numpy; uses SimpleITK (pip) and nifti_tool (Debian: nifti-bin) where they are installed and
says so where they are not. Exits with 1 if anything differs.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

try:
    import SimpleITK as sitk
except ImportError:
    sitk = None
else:
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
NIFTI_TOOL = shutil.which("nifti_tool")

# Where tools are of different minds. Without forms, nibabel and SPM take x to grow to the left, the standard
# (method 1) and we to the right. A slope of 0 means unscaled; ITK then still adds the intercept.
NO_FORM, SLOPE_ZERO = "no_form", "slope_zero"

MM = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}
checks, problems = {}, []


def check(tool, holds, text):
    checks[tool] = checks.get(tool, 0) + 1
    if not holds:
        problems.append(f"{tool}: {text}")


def close(a, b, tolerance=1e-4):
    return np.abs(np.asarray(a) - np.asarray(b)).max() < tolerance


def in_mm(image):
    matrix = image.affine.copy()
    matrix[:3] *= MM[image.header.get_xyzt_units()[0]]
    return matrix


def with_nibabel(original, ours, is_labels):
    a, b = nib.load(original), nib.load(ours)
    shape = (a.shape + (1, 1, 1))[:3]
    check("nibabel", b.shape == shape, f"{ours}: shape {b.shape}, not {shape}")
    expected = a.get_fdata(dtype=np.float64).reshape(shape).astype(np.float32)
    check("nibabel", np.array_equal(b.get_fdata(dtype=np.float32), expected), f"{ours}: values")
    dtype = np.dtype(np.uint8 if is_labels else np.float32)
    check("nibabel", b.get_data_dtype() == dtype, f"{ours}: type {b.get_data_dtype()}")
    if max(a.header["qform_code"], a.header["sform_code"]) > 0:
        check("nibabel", close(in_mm(b), in_mm(a)), f"{ours}: affine")
        for form in ("qform", "sform"):
            both = (a.header[form + "_code"], b.header[form + "_code"])
            check("nibabel", both[0] == both[1], f"{ours}: {form} code {both}")
    # A result is of its input's version, or of NIfTI-2 where NIfTI-1 has no room.
    sizes = [int(image.header["sizeof_hdr"]) for image in (a, b)]
    check("nibabel", sizes[0] == sizes[1] or max(shape) > 32767, f"{ours}: headers of {sizes} bytes")
    for field in ("descrip", "intent_code", "intent_name", "xyzt_units"):
        check("nibabel", a.header[field] == b.header[field], f"{ours}: {field}")


def with_itk(original, ours):
    """Array and physical position. What ITK refuses to read is counted apart."""
    try:
        a = sitk.ReadImage(str(original))
    except RuntimeError:
        checks["SimpleITK refuses the original"] = checks.get("SimpleITK refuses the original", 0) + 1
        return
    b = sitk.ReadImage(str(ours))
    array = sitk.GetArrayFromImage(a).astype(np.float64)
    found = sitk.GetArrayFromImage(b).astype(np.float64)
    if SLOPE_ZERO in original.name:
        found = found + 5
    check("SimpleITK", np.allclose(found.ravel(), array.ravel(), rtol=1e-6), f"{ours}: values")
    if a.GetDimension() == b.GetDimension() == 3:
        last = [n - 1 for n in a.GetSize()]
        for index in ([0, 0, 0], last):
            places = [image.TransformIndexToPhysicalPoint(index) for image in (a, b)]
            check("SimpleITK", close(*places, 1e-3), f"{ours}: voxel {index} lies at {places[1]}, not {places[0]}")


def with_nifti_tool(ours):
    found = subprocess.run([NIFTI_TOOL, "-check_hdr", "-check_nim", "-infiles", str(ours)], capture_output=True, text=True)
    text = found.stdout + found.stderr
    check("nifti_tool", found.returncode == 0 and "IS GOOD" in text.upper() and "ERROR" not in text.upper(), f"{ours}: {text.strip()}")


def same_place(ours, ras):
    """The RAS volume puts every value where the original has it."""
    a, b = nib.load(ours), nib.load(ras)
    check("nibabel", nib.aff2axcodes(b.affine) == ("R", "A", "S"), f"{ras}: {nib.aff2axcodes(b.affine)}")
    flipped = nib.as_closest_canonical(a)
    check("nibabel", np.array_equal(flipped.get_fdata(), b.get_fdata()), f"{ras}: values")
    check("nibabel", close(flipped.affine, b.affine, 1e-3), f"{ras}: affine")


def main():
    out = Path(sys.argv[1])
    for original in map(Path, sys.argv[2:]):
        name = original.name.replace(".", "_")
        for kind in ("values.nii", "values.nii.gz", "labels.nii.gz", "back.nii.gz"):
            ours = out / f"{name}.{kind}"
            if not ours.exists():
                continue
            with_nibabel(original, ours, kind.startswith("labels"))
            if sitk:
                with_itk(original, ours)
            if NIFTI_TOOL:
                with_nifti_tool(ours)
        if NO_FORM not in name:
            same_place(out / f"{name}.values.nii", out / f"{name}.ras.nii.gz")
    for tool, there in (("SimpleITK", sitk), ("nifti_tool", NIFTI_TOOL)):
        if not there:
            print(f"skipped: {tool} is not installed")
    print(", ".join(f"{tool}: {count}" for tool, count in sorted(checks.items())), f"problems: {len(problems)}")
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
