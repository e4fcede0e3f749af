//! PNG, TIFF and JPEG in and out.

use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use udas_volume::{
    FileKind, Labels, Warning, is_coloured, probe, probe_labels, read, read_labels, stem,
    write_labels, write_rgb_png,
};

fn ramp8() -> GrayImage {
    GrayImage::from_fn(5, 3, |x, y| Luma([(x + 10 * y) as u8]))
}

#[test]
fn grey_pictures_of_8_and_16_bits_keep_their_values() {
    let folder = tempfile::tempdir().unwrap();
    let ramp16 = ImageBuffer::from_fn(5, 3, |x, y| Luma([(x + 10 * y) as u16 * 1000]));
    for extension in ["png", "tif"] {
        let path8 = folder.path().join(format!("eight.{extension}"));
        let path16 = folder.path().join(format!("sixteen.{extension}"));
        ramp8().save(&path8).unwrap();
        ramp16.save(&path16).unwrap();
        for (path, factor) in [(path8, 1.0), (path16, 1000.0)] {
            let volume = read(&path).unwrap();
            assert_eq!((volume.shape(), volume.spacing()), ([5, 3, 1], [1.0; 3]));
            assert_eq!(volume.orientation(), "RPS", "rows run downwards");
            assert_eq!(volume.get([4, 2, 0]), Some(24.0 * factor));
            assert_eq!(volume.header().kind(), FileKind::Picture);
            assert_eq!(probe(&path).unwrap().grid, *volume.grid());
        }
    }
}

#[test]
fn jpeg_is_read_and_colour_becomes_luminance_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let jpeg = folder.path().join("scan.jpg");
    GrayImage::from_pixel(16, 16, Luma([90])).save(&jpeg).unwrap();
    assert!((read(&jpeg).unwrap().data()[0] - 90.0).abs() <= 2.0);

    let png = folder.path().join("colour.png");
    RgbImage::from_pixel(2, 2, Rgb([255, 0, 0])).save(&png).unwrap();
    let volume = read(&png).unwrap();
    assert_eq!(volume.data(), [54.0; 4]);
    assert_eq!(volume.header().warnings(), [Warning::Colour]);
    assert!(
        read_labels(&png)
            .unwrap_err()
            .to_string()
            .contains("mask in colour; save the labels as grey")
    );

    let grey = folder.path().join("grey.png");
    RgbImage::from_pixel(2, 2, Rgb([77, 77, 77])).save(&grey).unwrap();
    let volume = read(&grey).unwrap();
    assert_eq!((volume.data(), volume.header().warnings().len()), (&[77.0; 4][..], 0));
}

#[test]
fn masks_go_out_and_come_back_and_255_means_1() {
    let folder = tempfile::tempdir().unwrap();
    let scan = folder.path().join("scan.png");
    ramp8().save(&scan).unwrap();
    let mask: Labels = read(&scan).unwrap().map(|value| (value as u8) % 3);
    for name in ["mask.png", "mask.tif", "mask.nii.gz"] {
        let path = folder.path().join(name);
        write_labels(&path, &mask).unwrap();
        let back = read_labels(&path).unwrap();
        assert_eq!((back.data(), back.grid()), (mask.data(), mask.grid()), "{name}");
    }
    let path = folder.path().join("binary.png");
    GrayImage::from_fn(2, 1, |x, _| Luma([x as u8 * 255])).save(&path).unwrap();
    let labels = read_labels(&path).unwrap();
    assert_eq!(labels.data(), [0, 1]);
    assert_eq!(labels.header().warnings(), [Warning::MaskOf255]);
}

#[test]
fn colour_pictures_are_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overlay.png");
    write_rgb_png(&path, &[255, 0, 0, 0, 0, 255], 2, 1).unwrap();
    let back = image::open(&path).unwrap().into_rgb8();
    assert_eq!((back.get_pixel(0, 0).0, back.get_pixel(1, 0).0), ([255, 0, 0], [0, 0, 255]));
    assert!(write_rgb_png(&path, &[0; 5], 2, 1).is_err());
}

/// A PNG header that claims `side` by `side` pixels, checksum included, and nothing else.
fn huge_png(side: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(side.to_be_bytes());
    chunk.extend(side.to_be_bytes());
    chunk.extend([8, 0, 0, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &chunk, &crc.sum().to_be_bytes()].concat()
}

#[test]
fn broken_pictures_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.png");
    ramp8().save(&good).unwrap();
    let png = std::fs::read(&good).unwrap();
    let tiff = folder.path().join("good.tif");
    ramp8().save(&tiff).unwrap();
    let mut pages = std::fs::read(&tiff).unwrap();
    let directory = u32::from_le_bytes([pages[4], pages[5], pages[6], pages[7]]) as usize;
    let entries = u16::from_le_bytes([pages[directory], pages[directory + 1]]) as usize;
    pages[directory + 2 + 12 * entries] = 8;
    for (name, bytes, expected) in [
        ("text.png", b"no picture".to_vec(), "neither PNG"),
        ("cut.png", png[..png.len() / 2].to_vec(), ""),
        ("empty.tif", Vec::new(), "is empty"),
        ("huge.png", huge_png(2_000_000_000), ""),
        ("large.png", huge_png(32_000), ""),
        ("pages.tif", pages, "several pages; save one file a page"),
        ("page.gif", b"GIF89a".to_vec(), "unknown file name extension"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let message = read(&path).expect_err(name).to_string();
        assert!(
            message.contains(name) && message.contains(expected) && message.contains(';'),
            "{message}"
        );
    }
}

#[test]
fn stems_are_names_without_extension() {
    for (name, expected) in [
        ("a/CC0030_philips_15_42_F.nii.gz", "CC0030_philips_15_42_F"),
        ("scan.v2.NII", "scan.v2"),
        ("picture.PNG", "picture"),
        ("notes.txt", "notes.txt"),
        (".nii.gz", ".nii.gz"),
    ] {
        assert_eq!(stem(name.as_ref()), expected);
    }
}

/// A TIFF of 2x2 grey pixels, little-endian or big-endian, with one entry more: tag, type, count, value. `text` goes
/// behind the pixels, where an entry of type 2 finds it.
fn tiff(big: bool, little: bool, extra: Option<(u16, u16, u64)>, text: &str) -> Vec<u8> {
    let number = |value: u64, bytes: usize| -> Vec<u8> {
        let mut all = value.to_le_bytes()[..bytes].to_vec();
        if !little {
            all.reverse();
        }
        all
    };
    let place = if big { 8 } else { 4 };
    let mut bytes = if little { b"II".to_vec() } else { b"MM".to_vec() };
    bytes.extend(number(if big { 43 } else { 42 }, 2));
    if big {
        bytes.extend([number(8, 2), number(0, 2)].concat());
    }
    let start = bytes.len() + place;
    let (pixels, text_at) = (start as u64, start as u64 + 4);
    let directory = start + 4 + text.len();
    bytes.extend(number(directory as u64, place));
    bytes.extend([10, 20, 30, 40]);
    bytes.extend(text.bytes());
    // Width, height, bits, compression, black is 0, strip, samples, rows, strip's bytes; ascending tags.
    let mut entries = vec![
        (256, 3, 1, 2),
        (257, 3, 1, 2),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, pixels),
        (277, 3, 1, 1),
        (278, 3, 1, 2),
        (279, 4, 1, 4),
    ];
    if let Some((tag, field, value)) = extra {
        // MetaMorph's list has its length as count; other numbers stand alone.
        let (count, value) = match (tag, field) {
            (_, 2) => (text.len() as u64, text_at),
            (33629, _) => (value, 8),
            _ => (1, value),
        };
        entries.push((tag, field, count, value));
        entries.sort_unstable();
    }
    bytes.extend(number(entries.len() as u64, if big { 8 } else { 2 }));
    for (tag, field, count, value) in entries {
        bytes.extend(
            [number(tag.into(), 2), number(field.into(), 2), number(count, place)].concat(),
        );
        let width = match field {
            3 => 2,
            4 => 4,
            _ => place,
        };
        bytes.extend(number(value, width));
        bytes.resize(bytes.len() + place - width, 0);
    }
    bytes.extend(number(0, place));
    bytes
}

#[test]
fn tiff_stacks_in_one_page_are_refused_and_big_tiff_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.tif");
    for (big, little) in [(false, true), (false, false), (true, true), (true, false)] {
        let check = |extra: Option<(u16, u16, u64)>, text: &str, expected: Option<&str>| {
            std::fs::write(&path, tiff(big, little, extra, text)).unwrap();
            match (read(&path), probe(&path), expected) {
                (Ok(volume), Ok(_), None) => assert_eq!(volume.data(), [10.0, 20.0, 30.0, 40.0]),
                (Err(error), Err(_), Some(expected)) => {
                    let message = error.to_string();
                    assert!(
                        message.contains(expected) && message.contains("stack.tif"),
                        "{message}"
                    );
                }
                (read, ..) => panic!("{big} {little} {extra:?} {text:?}: {read:?}"),
            }
        };
        check(None, "", None);
        check(Some((270, 2, 0)), "ImageJ=1.53t\nimages=12\nslices=12\n", Some("stack of 12"));
        check(Some((270, 2, 0)), "ImageJ=1.11a\nframes=7\nloop=false\n", Some("stack of 7"));
        check(Some((270, 2, 0)), "ImageJ=1.53t\nimages=1\nunit=micron\n", None);
        check(Some((270, 2, 0)), "images=12 of a report", None);
        check(Some((32997, 3, 5)), "", Some("stack of 5"));
        check(Some((32997, 4, 3)), "", Some("stack of 3"));
        check(Some((32997, 3, 1)), "", None);
        check(Some((33629, 5, 4)), "", Some("stack of 4"));
    }
}

#[test]
fn a_mask_as_jpeg_is_refused_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mask = GrayImage::from_fn(16, 16, |x, _| Luma([u8::from(x > 7) * 255]));
    let jpeg = folder.path().join("mask.jpg");
    mask.save(&jpeg).unwrap();
    let renamed = folder.path().join("mask.png");
    std::fs::copy(&jpeg, &renamed).unwrap();
    for path in [jpeg, renamed] {
        for error in [read_labels(&path).unwrap_err(), probe_labels(&path).unwrap_err()] {
            assert!(error.to_string().contains("mask as JPEG"), "{error}");
        }
    }
    let png = folder.path().join("good.png");
    mask.save(&png).unwrap();
    assert_eq!(probe_labels(&png).unwrap().grid.shape, [16, 16, 1]);
}

#[test]
fn colour_is_told_from_grey_stored_as_colour() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, picture: image::DynamicImage| {
        let path = folder.path().join(name);
        picture.save(&path).unwrap();
        is_coloured(&path).unwrap()
    };
    assert!(of("red.png", RgbImage::from_pixel(4, 4, Rgb([255, 0, 0])).into()));
    assert!(of("red.tif", RgbImage::from_pixel(4, 4, Rgb([255, 0, 0])).into()));
    assert!(!of("grey.png", RgbImage::from_pixel(4, 4, Rgb([9, 9, 9])).into()));
    assert!(!of("plain.png", ramp8().into()));
    assert!(!is_coloured(&folder.path().join("scan.nii.gz")).unwrap());
}
