//! Patches of the small models' cases: what is drawn, and by what it is decided.
use std::path::{Path, PathBuf};
use udas_nnunet::{Arithmetic, Case, Model, ModelFolder, Patch, Patches, Prepared, prepare};

const PLENTY: usize = 1 << 30;

fn golden(kind: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/nnunet").join(kind);
    if !path.is_dir() {
        eprintln!("{kind} is skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// A kind's model and cases, with the masks that it predicts for labels.
fn opened(kind: &str) -> Option<(Model, Vec<Case>)> {
    let path = golden(kind)?;
    let model = ModelFolder::open(&path.join("model"), &[]).unwrap();
    let model = model.load(Arithmetic::Exact).unwrap();
    let files = std::fs::read_dir(path.join("input")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.split_once("_0000.")?.0.to_owned())).collect();
    names.sort();
    let ending = model.data.file_ending.clone();
    let case = |name: String| {
        let image = |end: &String| path.join(format!("input/{name}{end}"));
        let images = model.data.endings().iter().map(image).collect();
        let labels = Some(path.join(format!("expected/{name}{ending}")));
        Case { name, images, labels }
    };
    let cases = names.into_iter().map(case).collect();
    Some((model, cases))
}

fn unlabelled(cases: &[Case]) -> Vec<Case> {
    cases.iter().map(|case| Case { labels: None, ..case.clone() }).collect()
}

fn values(patch: &Patch) -> Vec<f32> {
    patch.image.flatten_all().unwrap().to_vec1().unwrap()
}

fn prepared(case: &Case, model: &Model) -> Prepared {
    let images = case.images.iter().map(|image| udas_volume::read(image).unwrap()).collect();
    prepare(images, &model.plans, &model.configuration, &case.name).unwrap()
}

/// What a patch at a place must hold, voxel by voxel.
fn expected(prepared: &Prepared, patch: &[usize], place: [usize; 3]) -> Vec<f32> {
    let size = [
        if patch.len() == 3 { patch[0] } else { 1 },
        patch[patch.len() - 2],
        patch[patch.len() - 1],
    ];
    let shape = prepared.shape;
    let mut all = Vec::new();
    for channel in prepared.data.chunks(shape.iter().product()) {
        for z in 0..size[0] {
            for y in 0..size[1] {
                for x in 0..size[2] {
                    let at = [0, 1, 2].map(|axis| {
                        let low = size[axis].saturating_sub(shape[axis]) / 2;
                        (place[axis] + [z, y, x][axis]).wrapping_sub(low)
                    });
                    let inside = (0..3).all(|axis| at[axis] < shape[axis]);
                    let voxel = || channel[(at[0] * shape[1] + at[1]) * shape[2] + at[2]];
                    all.push(if inside { voxel() } else { 0.0 });
                }
            }
        }
    }
    all
}

#[test]
fn patches_are_parts_of_what_the_network_sees() {
    for kind in ["plain2d", "plain3d", "padded", "channels2", "transposed", "separate_z"] {
        let Some((model, cases)) = opened(kind) else { continue };
        let patches = Patches::new(unlabelled(&cases), &model, PLENTY).unwrap();
        let patch_size = &model.configuration.patch;
        let all: Vec<Prepared> = cases.iter().map(|case| prepared(case, &model)).collect();
        for index in 0..12 {
            let patch = patches.draw(1, 2, index).unwrap();
            let sizes = [&[1, model.data.channels], patch_size.as_slice()].concat();
            assert_eq!(patch.image.dims(), sizes, "{kind}");
            let expected = expected(&all[patch.case], patch_size, patch.place);
            assert!(values(&patch) == expected, "{kind}, patch {index} at {:?}", patch.place);
            assert!(patch.labels.is_none());
        }
    }
}

#[test]
fn a_patch_is_decided_by_seed_epoch_and_index_alone() {
    let Some((model, cases)) = opened("plain2d") else { return };
    let cases = unlabelled(&cases);
    let plenty = Patches::new(cases.clone(), &model, PLENTY).unwrap();
    let none = Patches::new(cases.clone(), &model, 0).unwrap();
    let of = |patches: &Patches, seed, epoch| -> Vec<(usize, [usize; 3])> {
        let draw = |index| patches.draw(seed, epoch, index).unwrap();
        (0..40).map(draw).map(|patch| (patch.case, patch.place)).collect()
    };
    let drawn = of(&plenty, 1, 1);
    // Without memory for cases, and in whatever order.
    assert_eq!(drawn, of(&none, 1, 1));
    let late = plenty.draw(1, 1, 39).unwrap();
    assert_eq!((late.case, late.place), drawn[39]);
    assert_ne!(drawn, of(&plenty, 2, 1));
    assert_ne!(drawn, of(&plenty, 1, 2));
    // Every case, many slices, many places.
    for case in 0..cases.len() {
        let count = drawn.iter().filter(|(number, _)| *number == case).count();
        assert_eq!(count, 40 / cases.len());
    }
    for axis in 0..3 {
        let room = (0..cases.len()).map(|case| plenty.extent(case).unwrap().room[axis]).max();
        let mut places: Vec<usize> = drawn.iter().map(|(_, place)| place[axis]).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > room.unwrap() / 2, "axis {axis}: {places:?}");
    }
}

#[test]
fn labels_lie_where_the_image_does_and_every_third_patch_has_some() {
    for kind in ["plain2d", "plain3d", "padded", "transposed", "reorient"] {
        let Some((model, cases)) = opened(kind) else { continue };
        // Labels that say where the image is bright, of the whole image's mean.
        let folder = tempfile::tempdir().unwrap();
        let cases: Vec<Case> = cases
            .into_iter()
            .map(|case| {
                let path = folder.path().join(format!("{}.nii.gz", case.name));
                let image = udas_volume::read(&case.images[0]).unwrap();
                let mean = image.data().iter().sum::<f32>() / image.data().len() as f32;
                let bright = image.data().iter().map(|&value| u8::from(value > mean)).collect();
                let header = image.header().clone();
                let labels = udas_volume::Labels::with_header(bright, *image.grid(), header);
                udas_volume::write_labels(&path, &labels.unwrap()).unwrap();
                Case { labels: Some(path), ..case }
            })
            .collect();
        let patches = Patches::new(cases, &model, PLENTY).unwrap();
        let (mut bright, mut dark) = (Vec::new(), Vec::new());
        for index in 0..30 {
            let patch = patches.draw(0, 1, index).unwrap();
            let labels = patch.labels.clone().unwrap();
            let voxels: usize = model.configuration.patch.iter().product();
            assert_eq!(labels.len(), voxels, "{kind}");
            assert!(index % 3 != 2 || labels.contains(&1), "{kind}: patch {index} has no label");
            for (value, label) in values(&patch).into_iter().zip(labels) {
                if label == 1 { bright.push(value) } else { dark.push(value) }
            }
        }
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        assert!(mean(&bright) > mean(&dark) + 0.5, "{kind}: {} {}", mean(&bright), mean(&dark));
    }
}

#[test]
fn labels_that_do_not_fit_are_refused_by_name() {
    let Some((model, mut cases)) = opened("plain3d") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("more.nii.gz");
    let labels = udas_volume::read_labels(cases[0].labels.as_ref().unwrap()).unwrap();
    let outputs = model.data.labels.outputs() as u8;
    let more = udas_volume::Labels::with_header(
        vec![outputs; labels.data().len()],
        *labels.grid(),
        labels.header().clone(),
    );
    udas_volume::write_labels(&path, &more.unwrap()).unwrap();
    cases[0].labels = Some(path);
    let patches = Patches::new(cases, &model, PLENTY).unwrap();
    let error = patches.draw(0, 1, 0).unwrap_err().to_string();
    assert!(error.contains("more.nii.gz") && error.contains("classes are 0 to"), "{error}");
    assert!(Patches::new(Vec::new(), &model, PLENTY).is_err());
}
