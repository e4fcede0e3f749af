//! Checkpoints: round trips through both formats, and hostile files, which must end in an error that names
//! the file, without a panic, a call or an allocation beyond the file's size.
use candle_core::{DType, Device, Tensor};
use std::io::{Cursor, Write};
use std::path::Path;
use udas_nn::{Checkpoint, Error, StateDict};
use zip::write::SimpleFileOptions;

fn tensors() -> StateDict {
    let cpu = &Device::Cpu;
    let values: Vec<f32> = (0..24).map(|i| i as f32 * 0.37 - 3.0).collect();
    StateDict::from([
        ("a.weight".into(), Tensor::from_vec(values, (2, 3, 4), cpu).unwrap()),
        ("a.empty".into(), Tensor::zeros((0, 3), DType::F32, cpu).unwrap()),
        ("b.count".into(), Tensor::new(-5i64, cpu).unwrap()),
        ("c.mask".into(), Tensor::new(&[0u8, 1, 255], cpu).unwrap()),
    ])
}

fn assert_same(found: &StateDict, expected: &StateDict) {
    let hash = |tensors: &StateDict| {
        Checkpoint { tensors: tensors.clone(), metadata: None }.hash().unwrap()
    };
    assert_eq!(hash(found), hash(expected));
}

#[test]
fn both_formats_keep_names_shapes_types_and_bits() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.safetensors", "model.pth"] {
        let path = folder.path().join(name);
        let checkpoint = Checkpoint { tensors: tensors(), metadata: Some("{\"a\":1}".into()) };
        checkpoint.save(&path).unwrap();
        let read = Checkpoint::load(&path).unwrap();
        assert_same(&read.tensors, &checkpoint.tensors);
        assert_eq!(read.metadata.is_some(), name.ends_with("safetensors"), "{name}");
    }
}

#[test]
fn the_same_content_is_the_same_bytes() {
    let checkpoint = Checkpoint { tensors: tensors(), metadata: Some("x".into()) };
    assert_eq!(checkpoint.to_bytes().unwrap(), checkpoint.to_bytes().unwrap());
}

#[test]
fn what_is_stored_otherwise_is_refused_when_saving() {
    let half = Tensor::zeros(3, DType::F16, &Device::Cpu).unwrap();
    let checkpoint = Checkpoint { tensors: [("h".into(), half)].into(), metadata: None };
    assert!(matches!(checkpoint.to_bytes(), Err(Error::Checkpoint { .. })));
}

/// Loading must fail with an error that names the file. Gives its text.
#[track_caller]
fn refused(path: &Path) -> String {
    match Checkpoint::load(path) {
        Ok(_) => panic!("{} was accepted", path.display()),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            text
        }
    }
}

#[test]
fn files_cut_short_anywhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.safetensors", "model.pth"] {
        let path = folder.path().join(name);
        Checkpoint { tensors: tensors(), metadata: None }.save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for len in (0..whole.len()).step_by(whole.len().div_ceil(97)) {
            std::fs::write(&path, &whole[..len]).unwrap();
            refused(&path);
        }
    }
}

/// Each byte changed in one of three ways: an error or another model, but never a panic.
#[test]
fn changed_bytes_do_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = StateDict::from([("w".into(), Tensor::new(&[1f32], &Device::Cpu).unwrap())]);
    for name in ["model.safetensors", "model.pth"] {
        let path = folder.path().join(name);
        Checkpoint { tensors: tensors.clone(), metadata: None }.save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= [0x01, 0x80, 0xff][at % 3];
            std::fs::write(&path, &bytes).unwrap();
            let _either = Checkpoint::load(&path);
        }
    }
}

/// A `.pth` file of these entries.
fn archive(path: &Path, entries: &[(&str, &[u8])], method: zip::CompressionMethod) {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    std::fs::write(path, zip.finish().unwrap().into_inner()).unwrap();
}

fn pickled(pickle: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    let entries: [(&str, &[u8]); 2] = [("m/data.pkl", pickle), ("m/data/0", &[0; 64])];
    archive(&path, &entries, zip::CompressionMethod::Stored);
    refused(&path)
}

#[test]
fn a_pickle_that_calls_is_refused_and_not_executed() {
    let text = pickled(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
    assert!(text.contains("os.system") && text.contains("not allowed"), "{text}");
    pickled(b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.");
}

/// A tensor `w` of this shape and these strides over a storage of 16 values.
fn tensor_pickle(shape: &[i32], strides: &[i32], offset: i32) -> Vec<u8> {
    let mut pickle = b"\x80\x02}X\x01\x00\x00\x00w".to_vec();
    pickle.extend(
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n",
    );
    pickle.extend(b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x10tQ");
    let mut number = |value: i32| {
        pickle.push(b'J');
        pickle.extend(value.to_le_bytes());
    };
    number(offset);
    for sizes in [shape, strides] {
        pickle.push(b'(');
        for value in sizes {
            pickle.push(b'J');
            pickle.extend(value.to_le_bytes());
        }
        pickle.push(b't');
    }
    pickle.extend(b"\x89}tRs.");
    pickle
}

#[test]
fn huge_and_impossible_shapes_are_refused() {
    let huge = i32::MAX;
    for (shape, strides, offset) in [
        (vec![huge, huge, huge], vec![1, 1, 1], 0),
        (vec![huge], vec![0], 0),
        (vec![17], vec![1], 0),
        (vec![16], vec![1], 1),
        (vec![4, 4], vec![huge, 1], 0),
        (vec![4], vec![1, 1], 0),
        (vec![-1], vec![1], 0),
        (vec![1; 9], vec![1; 9], 0),
    ] {
        let text = pickled(&tensor_pickle(&shape, &strides, offset));
        assert!(text.contains("torch.save"), "the remedy is missing: {text}");
    }
}

#[test]
fn transposed_tensors_are_read_as_they_are_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    let values: Vec<u8> = (0..16).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let pickle = tensor_pickle(&[2, 3], &[1, 2], 4);
    let entries: [(&str, &[u8]); 2] = [("m/data.pkl", &pickle), ("m/data/0", &values)];
    archive(&path, &entries, zip::CompressionMethod::Stored);
    let read = Checkpoint::load(&path).unwrap().tensors;
    let expected = [[4f32, 6.0, 8.0], [5.0, 7.0, 9.0]];
    assert_eq!(read["w"].to_vec2::<f32>().unwrap(), expected);
}

#[test]
fn broken_pickles_are_refused() {
    for pickle in [
        &b""[..],
        b".",
        b"\x80\x02",
        b"\x80\x02}u.",
        b"\x80\x02t.",
        b"\x80\x02\x87.",
        b"\x80\x02R.",
        b"\x80\x02Nb.",
        b"\x80\x02h\x05.",
        b"\x80\x02\x8a\xff.",
        b"\x80\x02X\xff\xff\xff\xffa.",
        b"\x80\x02cos",
        b"\x80\x02NQ.",
        b"\x80\x02\xfe.",
        b"\x80\x02].",
        b"\x80\x02}.",
    ] {
        pickled(pickle);
    }
    // Deep nesting and repeated sharing, which a reader that follows objects would pay for.
    let mut nested = b"\x80\x02)".to_vec();
    nested.extend(std::iter::repeat_n(0x85, 1_000_000));
    nested.push(b'.');
    pickled(&nested);
    let mut doubled = b"\x80\x02)q\x00".to_vec();
    doubled.extend(b"h\x00h\x00\x86q\x00".repeat(10_000));
    doubled.push(b'.');
    pickled(&doubled);
}

#[test]
fn archives_without_what_they_need_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    let stored = zip::CompressionMethod::Stored;
    archive(&path, &[("other", b"x")], stored);
    assert!(refused(&path).contains("data.pkl"));
    let pickle = tensor_pickle(&[4], &[1], 0);
    archive(&path, &[("m/data.pkl", &pickle)], stored);
    assert!(refused(&path).contains("m/data/0"));
    let (big, zeros): (&[u8], &[u8]) = (b"big", &[0; 64]);
    archive(&path, &[("m/data.pkl", &pickle), ("m/byteorder", big), ("m/data/0", zeros)], stored);
    assert!(refused(&path).contains("big-endian"));
}

#[test]
fn foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for bytes in [
        &b"hello, this is no model"[..],
        &u64::MAX.to_le_bytes(),
        b"\x10\x00\x00\x00\x00\x00\x00\x00{\"a\":1}         ",
        b"\x80\x02}q\x00.",
    ] {
        std::fs::write(&path, bytes).unwrap();
        refused(&path);
    }
    let missing = folder.path().join("missing.safetensors");
    assert!(matches!(Checkpoint::load(&missing), Err(Error::Io { .. })));
    assert!(refused(&missing).contains("check that"));
}

#[test]
fn a_failed_write_names_the_file_once_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A folder is in the place of the file: the rename at the end fails, for root too.
    let path = folder.path().join("model.safetensors");
    std::fs::create_dir(&path).unwrap();
    let error = Checkpoint::default().save(&path).unwrap_err();
    assert!(matches!(error, Error::Write { .. }));
    let message = error.to_string();
    assert_eq!(message.matches("model.safetensors").count(), 1, "{message}");
    assert!(std::error::Error::source(&error).is_none(), "said twice where causes are listed");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
