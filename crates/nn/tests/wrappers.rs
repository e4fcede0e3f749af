//! Checkpoints of other makers: dicts around the state dict, prefixes of names, newer pickle protocols, and numbers
//! beside the weights.
use candle_core::{Device, Tensor};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use udas_nn::{Checkpoint, StateDict, Taken};
use zip::write::SimpleFileOptions;

const MARKS: [&str; 2] = ["init.weight", "conv1.weight"];

/// What a pickle is made of here.
#[derive(Clone)]
enum Item {
    Tensor,
    Number,
    /// A numpy scalar, as training programs keep a best score.
    Score,
    Dict(Vec<(String, Item)>),
    Tuple(Vec<Item>),
}

fn dict<const N: usize>(entries: [(&str, Item); N]) -> Item {
    Item::Dict(entries.map(|(name, item)| (name.to_owned(), item)).into())
}

/// A network of three tensors, each name with a prefix.
fn network(prefix: &str) -> Item {
    let names = ["init.weight", "init.bias", "out.weight"];
    Item::Dict(names.map(|name| (format!("{prefix}{name}"), Item::Tensor)).into())
}

struct Pickle {
    bytes: Vec<u8>,
    protocol: u8,
}

impl Pickle {
    fn text(&mut self, text: &str) {
        if self.protocol >= 4 {
            self.bytes.extend([0x8c, text.len() as u8]);
        } else {
            self.bytes.push(b'X');
            self.bytes.extend((text.len() as u32).to_le_bytes());
        }
        self.bytes.extend(text.bytes());
        if self.protocol >= 4 {
            self.bytes.push(0x94);
        }
    }

    fn global(&mut self, module: &str, name: &str) {
        if self.protocol >= 4 {
            self.text(module);
            self.text(name);
            self.bytes.extend([0x93, 0x94]);
        } else {
            self.bytes.extend(format!("c{module}\n{name}\n").bytes());
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Number => self.bytes.extend(b"K\x07"),
            Item::Score => {
                self.global("numpy.core.multiarray", "scalar");
                self.global("numpy", "dtype");
                self.text("f8");
                self.bytes.extend(b"\x89\x88\x87R");
                self.bytes.extend(b"C\x0812345678\x86R");
            }
            Item::Tensor => {
                self.global("torch._utils", "_rebuild_tensor_v2");
                self.bytes.extend(b"((");
                self.text("storage");
                self.global("torch", "FloatStorage");
                self.text("0");
                self.text("cpu");
                self.bytes.extend(b"K\x02tQK\x00K\x02\x85K\x01\x85\x89}tR");
            }
            Item::Dict(entries) => {
                self.global("collections", "OrderedDict");
                self.bytes.extend(b")R(");
                for (name, item) in entries {
                    self.text(name);
                    self.item(item);
                }
                self.bytes.push(b'u');
            }
            Item::Tuple(items) => {
                self.bytes.push(b'(');
                items.iter().for_each(|item| self.item(item));
                self.bytes.push(b't');
            }
        }
    }
}

fn write(folder: &Path, root: &Item, protocol: u8) -> PathBuf {
    let mut pickle = Pickle { bytes: vec![0x80, protocol], protocol };
    if protocol >= 4 {
        pickle.bytes.extend([&[0x95][..], &[0; 8]].concat());
    }
    pickle.item(root);
    pickle.bytes.push(b'.');
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let values: Vec<u8> = [1.5f32, -2.0].into_iter().flat_map(f32::to_le_bytes).collect();
    for (name, bytes) in [("m/data.pkl", &pickle.bytes), ("m/data/0", &values)] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let path = folder.join("foreign.pth");
    std::fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
    path
}

fn load(root: &Item) -> Result<(Checkpoint, Taken), String> {
    let folder = tempfile::tempdir().unwrap();
    let found = [2, 4, 5].map(|protocol| {
        let path = write(folder.path(), root, protocol);
        Checkpoint::load_network(&path, &MARKS).map_err(|error| error.to_string())
    });
    let names = |found: &Result<(Checkpoint, Taken), String>| {
        found
            .as_ref()
            .map(|(checkpoint, _)| checkpoint.tensors.keys().cloned().collect::<Vec<_>>())
            .ok()
    };
    assert_eq!((names(&found[0]), names(&found[0])), (names(&found[1]), names(&found[2])));
    let [first, ..] = found;
    first
}

/// The network is found whole, and what was taken is said with these words.
#[track_caller]
fn found(root: Item, words: &[&str]) {
    let (checkpoint, taken) = load(&root).unwrap();
    let names: Vec<_> = checkpoint.tensors.keys().map(String::as_str).collect();
    assert_eq!(names, ["init.bias", "init.weight", "out.weight"]);
    let values = checkpoint.tensors["out.weight"].to_vec1::<f32>().unwrap();
    assert_eq!(values, [1.5, -2.0]);
    assert_eq!(taken.is_whole(), words.is_empty(), "{taken}");
    for word in words {
        assert!(taken.to_string().contains(word), "{taken}");
    }
}

#[test]
fn the_network_is_found_under_any_key() {
    found(network(""), &[]);
    for key in ["state_dict", "model", "model_state_dict", "network_weights", "anything"] {
        let root = dict([("epoch", Item::Number), (key, network(""))]);
        found(root, &[&format!("`{key}`"), "epoch"]);
    }
    // A tensor beside the state dict is not the network.
    let root = dict([("best_metric", Item::Tensor), ("state_dict", network(""))]);
    found(root, &["`state_dict`", "1 other entries are left (best_metric)"]);
    let nested = dict([("checkpoint", dict([("net", network("")), ("step", Item::Number)]))]);
    found(nested, &["`checkpoint`, `net`"]);
    found(Item::Tuple(vec![Item::Number, network("")]), &["`1`"]);
    let scored = dict([("best", Item::Score), ("model", network(""))]);
    found(scored, &["`model`", "best"]);
}

#[test]
fn the_network_is_found_under_one_prefix() {
    for prefix in ["module.", "model.", "_orig_mod.", "module._orig_mod.", "net.unet."] {
        found(network(prefix), &[&format!("`{prefix}`")]);
        let root = dict([("state_dict", network(prefix)), ("lr", Item::Number)]);
        found(root, &["`state_dict`", &format!("`{prefix}`"), "lr"]);
    }
    let Item::Dict(mut entries) = network("model.") else { unreachable!() };
    entries.push(("criterion.weight".into(), Item::Tensor));
    found(Item::Dict(entries), &["`model.`", "criterion.weight"]);
}

#[test]
fn the_network_is_told_from_larger_dicts_and_from_averaged_copies() {
    let larger = Item::Dict((0..9).map(|n| (format!("d{n}.weight"), Item::Tensor)).collect());
    found(dict([("discriminator", larger), ("generator", network(""))]), &["`generator`"]);
    found(dict([("ema", network("")), ("state_dict", network(""))]), &["`state_dict`", "ema"]);
    let error = load(&dict([("student", network("")), ("teacher", network(""))])).unwrap_err();
    assert!(error.contains("`student`, `teacher`"), "{error}");
    let (Item::Dict(mut one), Item::Dict(two)) = (network("student."), network("teacher.")) else {
        unreachable!()
    };
    one.extend(two);
    let error = load(&Item::Dict(one)).unwrap_err();
    assert!(error.contains("`student.`, `teacher.`"), "{error}");
}

#[test]
fn what_holds_no_network_is_named() {
    let root = dict([("epoch", Item::Number), ("model", dict([("step", Item::Number)]))]);
    let error = load(&root).unwrap_err();
    assert!(error.contains("no tensors under epoch, model"), "{error}");
    // Layers of other networks bear the second mark too: they stay as they are.
    let names = ["layer1.conv1.weight", "layer2.conv1.weight"].map(|n| (n.into(), Item::Tensor));
    let (checkpoint, taken) = load(&Item::Dict(names.into())).unwrap();
    assert_eq!((checkpoint.tensors.len(), taken.is_whole()), (2, true));
}

#[test]
fn safetensors_of_other_makers_lose_their_prefix_and_ours_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.safetensors");
    let tensor = |value: f32| Tensor::new(&[value], &Device::Cpu).unwrap();
    let tensors = StateDict::from([
        ("module.init.weight".into(), tensor(1.0)),
        ("module.out.weight".into(), tensor(2.0)),
    ]);
    for (metadata, expected) in
        [(None, "init.weight"), (Some("{}".to_owned()), "module.init.weight")]
    {
        Checkpoint { tensors: tensors.clone(), metadata }.save(&path).unwrap();
        let (read, _) = Checkpoint::load_network(&path, &MARKS).unwrap();
        assert_eq!(read.tensors.keys().next().unwrap(), expected);
        assert_eq!(read.tensors.len(), 2);
    }
}

#[test]
fn a_plain_pickle_is_named_whatever_its_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.pth");
    for start in [&b"\x80\x04\x95\x10\0\0\0\0\0\0\0"[..], b"\x80\x02}q\0.", b"\x80\x03}q\0."] {
        std::fs::write(&path, start).unwrap();
        let error = Checkpoint::load(&path).unwrap_err().to_string();
        assert!(error.contains("it is a pickle") && error.contains("old.pth"), "{error}");
    }
}
