"""Writes the files of tests/must_fail that are made by rule. Needs Python alone.

    python tests/must_fail/make.py

KIND/NAME is a file, or for data sets a folder; KIND/NAME.expected holds what its message must say, a phrase a
line. KIND says how it is read (tests/must_fail.rs). Files added by hand, such as what fuzzing finds, stand beside
these and stay.
"""

import gzip
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

HERE = Path(__file__).parent


def add(kind, name, data, *phrases):
    path = HERE / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    (HERE / kind / f"{name}.expected").write_text("\n".join(phrases) + "\n")


def add_folder(name, files, *phrases):
    for file, data in files.items():
        path = HERE / "dataset" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (HERE / "dataset" / f"{name}.expected").write_text("\n".join(phrases) + "\n")


def gz(data):
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as stream:
        stream.write(data)
    return out.getvalue()


# DICOM -------------------------------------------------------------------------------------------------------


def dicom(data, syntax=b"1.2.840.10008.1.2.1\0"):
    """A file of explicit elements: its first group, and what follows it."""

    def element(number, vr, value):
        return struct.pack("<HH2sH", 2, number, vr, len(value)) + value

    meta = element(2, b"UI", b"1.2.840.10008.5.1.4.1.1.4\0") + element(16, b"UI", syntax)
    return bytes(128) + b"DICM" + element(0, b"UL", struct.pack("<I", len(meta))) + meta + data


def dicom_files():
    huge = struct.pack("<HH2sHI", 0x10, 0x10, b"UT", 0, 0xFFFFFFF0) + b"abc"
    add("volume", "dicom_value_of_4_gb.dcm", dicom(huge), "more than are left", "export")
    deep = struct.pack("<HH2sHI", 8, 0x1115, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    add("volume", "dicom_deep.dcm", dicom(deep * 5000), "sequences more than 16 deep")
    stray = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    add("volume", "dicom_stray_delimiter.dcm", dicom(stray), "ends an item that has not begun")
    add("volume", "dicom_jpeg_ls.dcm", dicom(b"", b"1.2.840.10008.1.2.4.80"), "JPEG-LS", "decompress it first")
    add("volume", "dicom_cut.dcm", dicom(huge)[:150], "cut short in its first group")
    bomb = zlib.compress(struct.pack("<HH2sHI", 9, 1, b"OB", 0, (1 << 26) + 4096) + bytes(1 << 26), 9)[2:-4]
    add("volume", "dicom_deflated_bomb.dcm", dicom(bomb, b"1.2.840.10008.1.2.1.99"), "cut short")


# NIfTI -------------------------------------------------------------------------------------------------------


def nifti(shape=(2, 3, 4), voxels=None, order="<", edit=(), datatype=4, bits=16, pixdim=(1, 1, 1, 1), dims=None):
    """A NIfTI-1 file; `edit` lists (offset, format, value)."""
    header = bytearray(348)

    def put(at, form, *values):
        struct.pack_into(order + form, header, at, *values)

    put(0, "i", 348)
    put(40, "8h", *(dims or [len(shape), *shape, *[1] * (7 - len(shape))]))
    put(70, "2h", datatype, bits)
    put(76, "8f", *pixdim, 1, 1, 1, 1)
    put(108, "3f", 352, 1, 0)
    header[123] = 2
    put(254, "h", 1)
    for row in range(3):
        put(280 + 16 * row, "4f", *[float(row == column) for column in range(4)])
    header[344:] = b"n+1\0"
    for at, form, value in edit:
        if form == "bytes":
            header[at : at + len(value)] = value
        else:
            put(at, form, value)
    if voxels is None:
        count = 1
        for n in shape:
            count *= n
        voxels = struct.pack(f"{order}{count}h", *range(count))
    return bytes(header) + bytes(4) + voxels


def nifti2(edit=()):
    """A NIfTI-2 file of 2 x 3 x 4 voxels of int16; `edit` lists (offset, format, value)."""
    header = bytearray(540)
    fields = [(0, "i", (540,)), (12, "2h", (4, 16)), (16, "8q", (3, 2, 3, 4, 1, 1, 1, 1)), (104, "8d", [1.0] * 8)]
    fields += [(168, "q", (544,)), (176, "2d", (1, 0)), (348, "i", (1,)), (500, "i", (2,))]
    fields += [(400 + 32 * row, "4d", [float(row == column) for column in range(4)]) for row in range(3)]
    fields += [(at, form, (value,)) for at, form, value in edit]
    for at, form, field in fields:
        struct.pack_into("<" + form, header, at, *field)
    header[4:12] = b"n+2\0\r\n\x1a\n"
    return bytes(header) + bytes(4) + struct.pack("<24h", *range(24))


def floats(*values, shape=(2, 3, 4)):
    count = shape[0] * shape[1] * shape[2]
    data = [*values, *[float(v) for v in range(count - len(values))]]
    return nifti(shape, struct.pack(f"<{count}f", *data), datatype=16, bits=32)


SFORM_OFF = (254, "h", 0)


def volumes():
    whole = nifti()
    add("volume", "empty.nii", b"", "empty.nii", "cut short", "export the file again")
    add("volume", "one_byte.nii", b"\x5c", "cut short")
    add("volume", "header_cut.nii", whole[:347], "cut short")
    add("volume", "voxels_missing.nii", whole[:-1], "header needs 400 bytes", "holds at most 399")
    add("volume", "big_endian_cut.nii", nifti(order=">")[:-1], "header needs 400 bytes")
    add("volume", "text.nii", b"once upon a time " * 40, "not a NIfTI file")
    add("volume", "nifti2.nii", nifti(edit=[(0, "i", 540)]) + bytes(192), "no NIfTI-2 magic number")
    two = nifti2()
    add("volume", "nifti2_cut.nii", two[:-1], "header needs 592 bytes")
    add("volume", "nifti2_quintillions.nii", nifti2(edit=[(24, "q", 2**62)]), "the limit is")
    add("volume", "nifti2_quintillions.nii.gz", gz(nifti2(edit=[(40, "q", 2**62)])), "the limit is")
    add("volume", "nifti2_negative.nii", nifti2(edit=[(32, "q", -(2**62))]), "-4611686018427387904 voxels along axis 1")
    add("volume", "nifti2_offset.nii", nifti2(edit=[(168, "q", 2**62)]), "first voxel at byte 4611686018427387904")
    add("volume", "nifti2_text.nii", two.replace(b"\r\n", b"\n") + b"\0", "transfer as text", "export the file again")
    add("volume", "analyze.nii", nifti(edit=[(344, "bytes", bytes(4))]), "left from right")
    add("volume", "magic.nii", nifti(edit=[(344, "bytes", b"abc\0")]), "magic number")
    add("volume", "pair_called_nii.nii", nifti(edit=[(344, "bytes", b"ni1\0")]), "under another name")
    add("volume", "alone.hdr", nifti(edit=[(344, "bytes", b"ni1\0")])[:348], "alone.img")
    huge = dict(dims=[3, 32767, 32767, 32767, 1, 1, 1, 1])
    add("volume", "seventy_terabytes.nii", nifti(**huge), "35181150961663 voxels", "the limit is")
    add("volume", "seventy_terabytes.nii.gz", gz(nifti(**huge)), "35181150961663 voxels", "the limit is")
    frames = dict(dims=[4, 1000, 1000, 1000, 32767, 1, 1, 1])
    add("volume", "sixty_terabytes_of_frames.nii", nifti(**frames), "header needs 65534000000352 bytes")
    add("volume", "sixty_terabytes_of_frames.nii.gz", gz(nifti(**frames)), "header needs 65534000000352 bytes")
    bomb = nifti(dims=[3, 1000, 1000, 1, 1, 1, 1, 1], voxels=bytes(1_000_000))
    add("volume", "bomb_half_filled.nii.gz", gz(bomb), "is cut short")
    bomb = nifti(dims=[3, 1000, 1000, 1000, 1, 1, 1, 1], voxels=bytes(10_000_000))
    add("volume", "bomb_of_gigabytes.nii.gz", gz(bomb), "header needs 2000000352 bytes")
    compressed = gz(whole)
    add("volume", "cut.nii.gz", compressed[:-20], "cut.nii.gz", "copy or export the file again")
    add("volume", "checksum.nii.gz", compressed[:-8] + bytes(8), "gzip stream is corrupt")
    add("volume", "garbage.nii.gz", b"\x1f\x8b\x08\x00" + b"garbage " * 9, "garbage.nii.gz")
    add("volume", "gzip_of_text.nii.gz", gz(b"no image " * 99), "not a NIfTI file")
    add("volume", "gzip_of_nothing.nii.gz", gz(b""), "cut short")
    add("volume", "complex.nii", nifti(edit=[(70, "h", 32)]), "complex voxels", "magnitude")
    add("volume", "colour.nii", nifti(edit=[(70, "h", 128)]), "colour voxels", "one channel")
    add("volume", "one_bit.nii", nifti(edit=[(70, "h", 1)]), "1-bit")
    add("volume", "datatype_77.nii", nifti(edit=[(70, "h", 77)]), "datatype code 77 does not exist")
    add("volume", "no_dimensions.nii", nifti(dims=[0] * 8), "0 dimensions")
    add("volume", "nine_dimensions.nii", nifti(dims=[9, 2, 3, 4, 1, 1, 1, 1]), "9 dimensions")
    add("volume", "negative_size.nii", nifti(dims=[3, 2, -3, 4, 1, 1, 1, 1]), "-3 voxels along axis 1")
    add("volume", "no_voxels.nii", nifti(dims=[3, 2, 0, 4, 1, 1, 1, 1]), "0 voxels along axis 1")
    add("volume", "vectors.nii", nifti(dims=[5, 2, 2, 2, 1, 3, 1, 1]), "more than four dimensions", "split it")
    add("volume", "two_frames.nii", nifti(dims=[4, 2, 3, 2, 2, 1, 1, 1]), "holds 2 frames", "split the file")
    for name, value in (("nan", float("nan")), ("far", 1e30), ("negative", -352.0), ("in_header", 100.0)):
        add("volume", f"offset_{name}.nii", nifti(edit=[(108, "f", value)]), "first voxel at byte")
    add("volume", "offset_beyond_the_end.nii", nifti(edit=[(108, "f", 9e8)]), "header needs")
    for name, size in (("zero", 0.0), ("negative", -1.0), ("nan", float("nan")), ("infinite", float("inf"))):
        image = nifti(pixdim=(1, 1, size, 1), edit=[SFORM_OFF])
        add("volume", f"spacing_{name}.nii", image, "voxel size along axis 1", "pixdim")
    row = [struct.pack("<4f", *values) for values in ([0] * 4, [float("nan"), 0, 0, 0], [float("inf"), 0, 0, 0])]
    for name, values in zip(("zero", "nan", "infinite"), row):
        add("volume", f"sform_{name}.nii", nifti(edit=[(280, "bytes", values)]), "singular or not finite", "sform")
    flat = struct.pack("<4f", 1, 0, 0, 0)
    add("volume", "sform_flat.nii", nifti(edit=[(312, "bytes", flat)]), "singular")
    image = nifti(edit=[SFORM_OFF, (252, "h", 1), (256, "f", float("nan"))])
    add("volume", "quaternion_nan.nii", image, "not finite")
    add("volume", "scan.dcm", whole, "no mark DICM", "export the series again")
    add("volume", "nan_voxel.nii", floats(float("nan")), "1 voxels are NaN or infinite", "replace them")
    add("volume", "infinite_voxels.nii", floats(float("inf"), -float("inf")), "2 voxels are NaN or infinite")


# Pictures ----------------------------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width=3, height=2, data=None, colour=0):
    rows = b"".join(b"\0" + bytes(range(width * (3 if colour == 2 else 1))) for _ in range(height)) if data is None else data
    header = struct.pack(">2I5B", width, height, 8, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def tiff(entries, following=0, tail=b""):
    body = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack("<2H2I", tag, kind, count, value)
    return b"II\x2a\0" + struct.pack("<I", 8) + body + struct.pack("<I", following) + tail


def grey_tiff(width, height, offset, count, **rest):
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, offset), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, count)]
    return tiff(tags, **rest)


def pictures():
    whole = png()
    add("volume", "empty.png", b"", "empty.png")
    add("volume", "text.png", b"no picture at all", "neither PNG, TIFF nor JPEG")
    add("volume", "gif.png", b"GIF89a\1\0\1\0\0\0\0;", "neither PNG, TIFF nor JPEG")
    add("volume", "cut.png", whole[:50], "cut.png")
    add("volume", "checksum.png", whole[:-20] + bytes([whole[-20] ^ 4]) + whole[-19:], "checksum.png", "a checksum is wrong")
    add("volume", "no_pixels.png", png(0, 0, b""), "no_pixels.png")
    add("volume", "huge.png", png(2**31 - 1, 2**31 - 1, b""), "larger than 32768 pixels a side")
    add("volume", "bomb.png", png(32768, 32768, bytes(9_000)), "bomb.png")
    add("volume", "huge.tif", grey_tiff(2**31, 2**31, 8, 100), "huge.tif")
    add("volume", "strip_beyond_the_end.tif", grey_tiff(4, 4, 2**31, 16), "strip_beyond_the_end.tif")
    add("volume", "strip_of_gigabytes.tif", grey_tiff(30000, 30000, 122, 900_000_000), "strip_of_gigabytes.tif")
    add("volume", "pages.tif", grey_tiff(1, 1, 8, 1, following=8), "several pages", "one file a page")
    add("volume", "no_entries.tif", tiff([]), "no_entries.tif")
    add("volume", "cut.tif", grey_tiff(4, 4, 122, 16)[:60], "cut.tif")
    add("volume", "cut.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", "cut.jpg")
    add("mask", "colour.png", png(colour=2), "is a mask in colour", "grey values")
    for name, value in (("fraction", 0.5), ("negative", -1.0), ("beyond_255", 256.0), ("nan", float("nan"))):
        add("mask", f"{name}.nii", floats(value), "voxel [0, 0, 0]", "whole numbers from 0 to 255")


# Data sets ---------------------------------------------------------------------------------------------------


def data_sets():
    image, mask = nifti(), nifti(voxels=struct.pack("<24h", *[i % 2 for i in range(24)]))

    def subject(name="a.nii", image=image, mask=mask):
        files = {f"scanner/images/{name}": image}
        return files | ({f"scanner/masks/{name}": mask} if mask else {})

    # Git keeps no empty folders; hidden files are not looked at.
    add_folder("nothing", {".keep": b""}, "nothing: holds no images")
    add_folder("no_images", {"scanner/images/.keep": b""}, "scanner/images: holds no images")
    add_folder("unrecognised", {"notes.txt": b"scans are on the other disk"}, "no data set is recognised here")
    add_folder("same_name", subject() | {"scanner/images/a.nii.gz": gz(image)}, "a.nii and", "a.nii.gz", "are both named a")
    moved = nifti(voxels=mask[352:], edit=[(292, "f", 0.5)])
    add_folder("mask_moved", subject(mask=moved), "images/a.nii and", "masks/a.nii", "different grids", "resample")
    smaller = nifti((2, 3, 3), struct.pack("<18h", *[0] * 18))
    add_folder("mask_smaller", subject(mask=smaller), "2x3x4 and 2x3x3 voxels")
    three = nifti(voxels=struct.pack("<24h", *[0] * 23, 3))
    add_folder("label_outside", subject(mask=three), "masks/a.nii", "voxel [1, 2, 3] has label 3", "0 to 1")
    add_folder("nan", subject(image=floats(float("nan"))), "images/a.nii", "NaN or infinite")
    constant = nifti(voxels=bytes(48))
    add_folder("constant", subject(image=constant), "images/a.nii", "every voxel is 0")
    add_folder("no_mask", subject(mask=None), "images/a.nii", "has no mask", "masks/a.nii.gz")
    add_folder("broken_image", subject(image=image[:380]), "images/a.nii", "header needs")
    add_folder("frames", subject(image=nifti((2, 3, 2, 2))), "images/a.nii", "holds 2 frames")
    name = "CC0001_philips_15_55_M"
    twice = {f"one/{name}.nii": image, f"two/{name}.nii": image}
    add_folder("cc359_same_name", twice, "one/CC0001", "two/CC0001", "are both named")
    add_folder("cc359_no_mask", {f"Original/{name}.nii": image}, f"a file {name}_ss.nii.gz")

    head = "External code,VendorName,Vendor,Centre,ED,ES\n"
    cine = {"Training/Labeled/A/A_sa.nii": nifti((2, 3, 2, 2)), "Training/Labeled/A/A_sa_gt.nii": nifti((2, 3, 2, 2), bytes(48))}

    def table(text):
        return {"table.csv": text if isinstance(text, bytes) else text.encode()} | cine

    add_folder("mnms_no_vendor", table("External code,ED,ES\nA,0,1\n"), "table.csv", 'no column "vendor"')
    add_folder("mnms_no_frames", table("External code,Vendor\nA,B\n"), "table.csv", 'no column "ed"')
    add_folder("mnms_frame_in_words", table(head + "A,Siemens,A,1,first,1\n"), "row 2", 'ED "first"')
    add_folder("mnms_frame_negative", table(head + "A,Siemens,A,1,0,-1\n"), "row 2", 'ES "-1"')
    add_folder("mnms_frame_beyond", table(head + "A,Siemens,A,1,0,7\n"), "A_sa.nii", "frame number 7")
    add_folder("mnms_frame_enormous", table(head + f"A,Siemens,A,1,0,{2**64}\n"), "row 2", "no frame number")
    add_folder("mnms_twice", table(head + "A,Siemens,A,1,0,1\nA,Siemens,A,1,0,1\n"), "names subject A twice")
    add_folder("mnms_not_utf8", table(head.encode() + b"A,Siemens,\xff\xfe,1,0,1\n"), "table.csv", "UTF-8")
    add_folder("mnms_other_subjects", table(head + "B,Siemens,A,1,0,1\n"), "table.csv", "A_sa")


# Checkpoints -------------------------------------------------------------------------------------------------


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape, start, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def pickle_of(*entries):
    """A dict of tensors: (name, storage, key, shape, strides)."""
    out = b"\x80\x02ccollections\nOrderedDict\n)R("
    for name, storage, key, shape, strides in entries:
        out += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\n" + storage + b"\n"
        out += text(key) + text("cpu") + b"K\x04tQK\x00" + sizes(shape) + sizes(strides)
        out += b"\x89ccollections\nOrderedDict\n)RtR"
    return out + b"u."


def text(words):
    return b"X" + struct.pack("<I", len(words)) + words.encode()


def sizes(values):
    return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"


def archive(files, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as target:
        for name, data in files.items():
            target.writestr(zipfile.ZipInfo(name), data, compression)
    return out.getvalue()


def pth(pickle, storage=struct.pack("<4f", 1, 2, 3, 4), **more):
    return archive({"archive/data.pkl": pickle, "archive/data/0": storage} | more)


def checkpoints():
    one = {"a": tensor([2], 0, 8)}
    add("checkpoint", "empty.safetensors", b"", "empty.safetensors", "not a checkpoint")
    add("checkpoint", "text.safetensors", b"weights are on the other disk", "not a checkpoint")
    add("checkpoint", "cut.safetensors", safetensors(one, bytes(7)), "cut.safetensors", "cut short")
    add("checkpoint", "header_of_exabytes.safetensors", struct.pack("<Q", 2**63) + b"{}", "not a checkpoint")
    add("checkpoint", "header_beyond_the_end.safetensors", struct.pack("<Q", 10_000) + b"{}", "not a checkpoint")
    add("checkpoint", "header_no_json.safetensors", safetensors(b"{never closed"), "not a checkpoint")
    add("checkpoint", "header_nested.safetensors", safetensors(b'{"a":' * 9999), "not a checkpoint")
    add("checkpoint", "offsets_beyond.safetensors", safetensors({"a": tensor([2], 0, 2**60)}, bytes(8)), "not a checkpoint")
    add("checkpoint", "offsets_backwards.safetensors", safetensors({"a": tensor([2], 8, 0)}, bytes(8)), "not a checkpoint")
    overlap = {"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}
    add("checkpoint", "offsets_overlap.safetensors", safetensors(overlap, bytes(12)), "not a checkpoint")
    add("checkpoint", "shape_overflows.safetensors", safetensors({"a": tensor([2**40, 2**40], 0, 8)}, bytes(8)), "not a checkpoint")
    add("checkpoint", "shape_differs.safetensors", safetensors({"a": tensor([3], 0, 8)}, bytes(8)), "not a checkpoint")
    add("checkpoint", "half_precision.safetensors", safetensors({"a": tensor([2], 0, 4, "F16")}, bytes(4)), "`a` has type F16")

    sound = pickle_of(("a", b"FloatStorage", "0", [4], [1]))
    add("checkpoint", "legacy.pth", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "before 1.6", "save it again")
    add("checkpoint", "cut.pth", pth(sound)[:-30], "cut.pth", "torch.save")
    add("checkpoint", "not_torch.pth", archive({"readme.txt": b"hello"}), "it has no data.pkl")
    add("checkpoint", "calls.pth", pth(b"cos\nsystem\n" + text("echo called") + b"\x85R."), "os.system, which is not allowed")
    add("checkpoint", "calls_builtin.pth", pth(b"c__builtin__\neval\n" + text("1") + b"\x85R."), "__builtin__.eval")
    add("checkpoint", "old_instruction.pth", pth(b"I1\n."), "instruction 0x49, which is not allowed")
    outside = archive({"../data.pkl": pickle_of(("a", b"FloatStorage", "../../secret", [4], [1])), "../data/0": bytes(16)})
    add("checkpoint", "leads_outside.pth", outside, "../data/../../secret")
    absolute = pickle_of(("a", b"FloatStorage", "/etc/hostname", [4], [1]))
    add("checkpoint", "absolute_storage.pth", pth(absolute), "etc/hostname")
    packed = archive({"archive/data.pkl": bytes(20_000_000), "archive/data/0": b""}, zipfile.ZIP_DEFLATED)
    add("checkpoint", "bomb.pth", packed, "bomb.pth", "archive/data.pkl", "compress")
    add("checkpoint", "storage_missing.pth", archive({"archive/data.pkl": sound}), "archive/data/0")
    for name, shape, strides in (
        ("tensor_beyond_its_storage", [5], [1]), ("tensor_of_strides_beyond", [2, 2], [1, 3]), ("tensor_overflows", [2**40, 2**40], [1, 1]),
    ):
        add("checkpoint", f"{name}.pth", pth(pickle_of(("a", b"FloatStorage", "0", shape, strides))), "a is larger than its storage")
    repeated = pickle_of(("a", b"FloatStorage", "0", [2**40], [0]))
    add("checkpoint", "tensor_of_one_number_repeated.pth", pth(repeated), "as large as the file")
    exabytes = pickle_of(("a", b"FloatStorage", "0", [2**62], [0]))
    add("checkpoint", "tensor_whose_bytes_overflow.pth", pth(exabytes), "as large as the file")
    add("checkpoint", "tensor_of_negative_size.pth", pth(pickle_of(("a", b"FloatStorage", "0", [-4], [1]))), "damaged: a tensor")
    add("checkpoint", "brain_float.pth", pth(pickle_of(("a", b"BFloat16Storage", "0", [4], [1]))), "BFloat16Storage")
    add("checkpoint", "big_endian.pth", pth(sound, **{"archive/byteorder": b"big"}), "big-endian")
    add("checkpoint", "no_tensors.pth", pth(b"}" + text("epoch") + b"K\x07s."), "it holds no tensors")
    add("checkpoint", "pickle_nested.pth", pth(b")" + b"\x85" * 20_000 + b"."), "it holds no tensors")
    doubling = b"K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"."
    add("checkpoint", "pickle_doubling.pth", pth(doubling), "it holds no tensors")
    add("checkpoint", "pickle_text_of_gigabytes.pth", pth(b"X\xff\xff\xff\xff."), "it is cut short")
    add("checkpoint", "pickle_of_nothing.pth", pth(b"."), "a value is missing")

    add("network", "other_network.safetensors", safetensors(one, bytes(8)), "1 missing (init_path.0.weight)")
    stem = {"init_path.0.weight": tensor([2, 1, 3, 3], 0, 72), "out_path.1.layer.weight": tensor([1, 2, 1, 1], 72, 80)}
    add("network", "mostly_missing.safetensors", safetensors(stem, bytes(80)), "mostly_missing.safetensors", "missing (", "and 2")
    wide = {"init_path.0.weight": tensor([2**60, 0], 0, 0), "out_path.1.layer.weight": tensor([2**60, 0], 0, 0)}
    add("network", "absurdly_wide.safetensors", safetensors(wide), "absurdly_wide.safetensors")
    scalar = {"init_path.0.weight": tensor([], 0, 4), "out_path.1.layer.weight": tensor([], 4, 8)}
    add("network", "scalars.safetensors", safetensors(scalar, bytes(8)), "missing (init_path.0.weight)")
    none = {"init_path.0.weight": tensor([0], 0, 0), "out_path.1.layer.weight": tensor([0], 0, 0)}
    add("network", "no_channels.safetensors", safetensors(none), "no_channels.safetensors")
    head = {"conv1.weight": tensor([12, 2, 3, 3], 0, 864)}
    add("network", "early_head.safetensors", safetensors(head, bytes(864)), "early head", "--head")
    add("head", "no_head.safetensors", safetensors(one, bytes(8)), "conv1.weight")
    other = {"conv1.weight": tensor([12, 7, 3, 3], 0, 3024)}
    add("head", "other_level.safetensors", safetensors(other, bytes(3024)), "7 input channels", "[2, 4, 8, 16]")
    add("head", "rest_missing.safetensors", safetensors(head, bytes(864)), "5 missing", "conv2.weight")


# Descriptions ------------------------------------------------------------------------------------------------


def descriptions():
    sound = 'plane = "axial"\nturn = "none"\nspacing = "native"\nintensity = "min-max"\n\n[padding.square]\nmultiple = 8\n'

    def edited(old, new):
        assert old in sound
        return sound.replace(old, new).encode()

    add("preprocessing", "cut.toml", sound[:20].encode(), "key with no value")
    add("preprocessing", "not_utf8.toml", sound.encode() + b"\xff", "UTF-8")
    add("preprocessing", "nested.toml", b"a = " + b"[" * 9999, "max recursion depth")
    add("preprocessing", "field_missing.toml", edited('plane = "axial"\n', ""), "missing field `plane`")
    add("preprocessing", "field_unknown.toml", edited("plane", 'colour = "red"\nplane'), "unknown field `colour`")
    add("preprocessing", "plane_unknown.toml", edited("axial", "diagonal"), "unknown variant `diagonal`", "sagittal")
    add("preprocessing", "padding_of_zero.toml", edited("= 8", "= 0"), "multiple of 0", "give 1 to 512")
    add("preprocessing", "padding_enormous.toml", edited("= 8", f"= {2**63 - 1}"), "give 1 to 512")
    add("preprocessing", "spacing_zero.toml", edited('"native"', "{ millimetres = [1.0, 0.0, 1.0] }"), "sizes above 0")
    add("preprocessing", "spacing_nan.toml", edited('"native"', "{ millimetres = [1.0, nan, 1.0] }"), "sizes above 0")
    add("preprocessing", "spacing_of_slices_zero.toml", edited('"native"', "{ slices = { pixel-mm = [1.0, 0.0] } }"), "sizes above 0")
    percentiles = "{ percentile = { low = 99.0, high = 1.0 } }"
    add("preprocessing", "percentiles_turned.toml", edited('"min-max"', percentiles), "the lower one first")
    landmarks = "{ landmarks = { darkest = 0.0, percentiles = [1.0, 99.0], values = [1.0, 0.0] } }"
    add("preprocessing", "landmarks_fall.toml", edited('"min-max"', landmarks), "ascending")


for make in (dicom_files, volumes, pictures, data_sets, checkpoints, descriptions):
    make()
print(f"{len(list(HERE.rglob('*.expected')))} cases")
