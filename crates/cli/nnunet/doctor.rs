//! Whether a model folder of nnU-Net can be expected to work on some images, by its plans and its data set's description.
use super::{classes, file_name};
use crate::suitability::Suitability;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use udas_data::Subject;
use udas_network::NormKind;
use udas_nnunet::{Arithmetic, Model, voxels_mm};
use udas_run::spacing::BEYOND;
use udas_volume::{format_mm, probe, stem};

/// Reads the networks, and the images' headers.
pub fn suitability(path: &Path, subjects: &[Subject]) -> Result<Suitability> {
    let folder = super::open(path, &[])?;
    let model = folder.load(Arithmetic::Fast)?;
    let images: Vec<&Path> = subjects.iter().map(|subject| subject.image.as_path()).collect();
    let mut differences = channels(&images, &model);
    let here = median_voxels(&images, &model)?;
    differences.extend(here.and_then(|here| coarser(here, &model)));
    differences.extend(folder.note());
    let mut found = Suitability {
        intensity_distance: None,
        differences,
        unknown: vec!["the intensities of its source"],
        plan: plan(folder.folds(), here, &model),
        advice: String::new(),
    };
    found.advice = found.advise(path);
    Ok(found)
}

/// What is wrong with the files of cases, one a channel.
fn channels(images: &[&Path], model: &Model) -> Vec<String> {
    let endings = model.data.endings();
    let expected: Vec<String> = endings
        .iter()
        .zip(&model.data.channel_names)
        .map(|(ending, name)| format!("CASE{ending} ({name})"))
        .collect();
    let expected = expected.join(", ");
    let (mut cases, mut others) = (BTreeMap::<PathBuf, BTreeSet<usize>>::new(), Vec::new());
    for image in images {
        match model.data.channel(&file_name(image)) {
            Some((channel, case)) => {
                cases.entry(image.with_file_name(case)).or_default().insert(channel);
            }
            None => others.push(image.display().to_string()),
        }
    }
    let mut differences = Vec::new();
    let is_numbered = |name: &String| {
        let stem = stem(Path::new(name));
        let number = stem.rsplit_once('_').map(|(_, number)| number).unwrap_or_default();
        number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    // A model of one channel takes files of any name, each as a case.
    if endings.len() == 1 {
        others.retain(is_numbered);
    }
    if let Some(first) = others.first() {
        differences.push(format!(
            "channels: {} files are named otherwise than the model's channels, {expected}, such as {first}",
            others.len()
        ));
    }
    let mut missing = Vec::new();
    for (case, seen) in &cases {
        // A data set lists the first channel; the others lie beside it.
        let file =
            |channel: usize| PathBuf::from(format!("{}{}", case.display(), endings[channel]));
        let beside = |channel: usize| {
            let is_there = |ending| {
                PathBuf::from(format!("{}_{channel:04}{ending}", case.display())).is_file()
            };
            [".nii.gz", ".nii"].into_iter().any(is_there)
        };
        let absent = |channel: &usize| !seen.contains(channel) && !beside(*channel);
        missing.extend((0..endings.len()).find(absent).map(file));
    }
    if let Some(first) = missing.first() {
        differences.push(format!(
            "channels: {} of {} cases lack some of the model's, {expected}, such as {}",
            missing.len(),
            cases.len(),
            first.display()
        ));
    }
    differences
}

/// Median voxel sizes of the images, in the order of the network's axes.
fn median_voxels(images: &[&Path], model: &Model) -> Result<Option<[f64; 3]>> {
    let mut sizes = Vec::with_capacity(images.len());
    for image in images {
        let probe = probe(image)?;
        sizes.push(voxels_mm(&model.plans, &probe.header, &probe.grid));
    }
    let median = |axis: usize| {
        let mut sizes: Vec<f64> = sizes.iter().map(|size| size[axis]).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.get(sizes.len() / 2).copied()
    };
    Ok(median(0).zip(median(1)).zip(median(2)).map(|((a, b), c)| [a, b, c]))
}

/// Where the images have less detail than the network has learned from.
fn coarser(here: [f64; 3], model: &Model) -> Option<String> {
    let planned = &model.configuration.spacing;
    let own = &here[here.len() - planned.len()..];
    own.iter().zip(planned).any(|(here, planned)| *here > BEYOND * planned).then(|| {
        format!(
            "voxels: {} mm here (median), {} in the plans: they are resampled to these, but finer detail than they have is \
             not to be had",
            shown(own),
            shown(planned)
        )
    })
}

/// What `predict` and `adapt` would do.
fn plan(folds: &[String], here: Option<[f64; 3]>, model: &Model) -> Vec<String> {
    let configuration = &model.configuration;
    let patch: Vec<String> = configuration.patch.iter().map(usize::to_string).collect();
    let from = here.map_or(String::new(), |here| {
        format!(" from {} mm (median)", shown(&here[here.len() - configuration.spacing.len()..]))
    });
    let batch_norm =
        model.networks.first().is_some_and(|network| network.spec().norm == NormKind::Batch);
    let method = match (folds.len(), batch_norm) {
        (2.., _) => "ensemble-distillation, taught by the other folds",
        (_, true) => "adabn",
        _ => "augmented-consistency",
    };
    vec![
        format!(
            "predict resamples{from} to {} mm ({}), and gives {} classes beyond background by patches of {} voxels and {} \
             networks (folds {})",
            shown(&configuration.spacing),
            configuration.name,
            classes(&model.data.labels),
            patch.join(" x "),
            model.networks.len(),
            folds.join(", ")
        ),
        format!(
            "adapt trains one network, of fold {}, on such patches without labels; its method, unless told otherwise: {method}",
            folds.first().map(String::as_str).unwrap_or_default()
        ),
    ]
}

fn shown(sizes: &[f64]) -> String {
    sizes.iter().map(|size| format_mm(*size)).collect::<Vec<_>>().join(" x ")
}
