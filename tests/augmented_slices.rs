//! What `--augment randomised` and `intensity+spatial` make of a slice: ten draws of a synthetic head and of a heart, as pictures for the documentation
//! where UDAS_WRITE_DOCS is set.
mod common;

use common::Bench;
use std::path::Path;
use std::sync::Arc;
use udas_data::{
    Augment, AugmentationRanges, BatchPlan, Contrast, DataSet, DeformationRanges, LabelUse,
    Labelled, LabelledBatches, LastBatch, Order, Preprocessing, RandomisationRanges, SliceSource,
    SliceSubset, VolumeSlices,
};
use udas_volume::write_rgb_png;

/// Pictures beside each other.
const COLUMNS: usize = 4;

/// A slice as it is, its labels, and ten draws, each from 0 to 1 over its own range.
struct Drawn {
    panels: Vec<Vec<f32>>,
    size: [usize; 2],
}

fn drawn(
    bench: &Bench,
    task: &str,
    (domain, seen): (&str, Preprocessing),
    augment: Augment,
) -> Drawn {
    let subjects = DataSet::open(&bench.path(task)).unwrap().subjects(domain).unwrap();
    let classes = if task == "heart" { 4 } else { 2 };
    let slices = VolumeSlices::new(subjects, seen, LabelUse::Require { classes }, 1 << 28).unwrap();
    // The slice that shows the most.
    let shown = |index: usize| {
        let labels = slices.read(index).unwrap().labels.unwrap();
        labels.iter().filter(|&&label| label > 0).count()
    };
    let most = (0..slices.len()).max_by_key(|&index| shown(index)).unwrap();
    let (own, size) = (slices.read(most).unwrap(), slices.size());
    let slice = Labelled::new(Arc::new(SliceSubset::new(Arc::new(slices), [most])));
    let plan =
        BatchPlan { order: Order::Shuffled { seed: 0 }, batch_size: 1, last: LastBatch::Keep };
    let batches = LabelledBatches::new(slice, plan).unwrap().with_augmentation(augment);
    let labels = own.labels.unwrap();
    let mut panels =
        vec![unit(&own.image), unit(&labels.iter().map(|&l| f32::from(l)).collect::<Vec<_>>())];
    for epoch in 1..=10 {
        let batch = batches.epoch(epoch).unwrap().next().unwrap().unwrap();
        if augment.deformation.is_none() {
            assert_eq!(batch.labels, labels, "labels are no image");
        }
        let image = unit(&batch.batch.images);
        assert!(image.iter().all(|value| value.is_finite()));
        assert!(panels.iter().all(|other| *other != image), "epoch {epoch} has a draw of its own");
        panels.push(image);
    }
    Drawn { panels, size }
}

/// From the least to the most, 0 to 1.
fn unit(image: &[f32]) -> Vec<f32> {
    let (least, most) =
        image.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
    image.iter().map(|value| (value - least) / (most - least)).collect()
}

impl Drawn {
    /// Grey values of the panels in rows, three bytes a pixel, with its width and height.
    fn sheet(&self) -> (Vec<u8>, [usize; 2]) {
        let [height, width] = self.size;
        let sides = [COLUMNS * width, self.panels.len().div_ceil(COLUMNS) * height];
        let mut sheet = vec![0; 3 * sides[0] * sides[1]];
        for (number, panel) in self.panels.iter().enumerate() {
            let corner = [number / COLUMNS * height, number % COLUMNS * width];
            for (pixel, value) in panel.iter().enumerate() {
                let at = (corner[0] + pixel / width) * sides[0] + corner[1] + pixel % width;
                sheet[3 * at..3 * at + 3].fill((255.0 * value) as u8);
            }
        }
        (sheet, sides)
    }
}

#[test]
fn ten_draws_of_a_head_and_a_heart() {
    let bench = Bench::new();
    let writes = std::env::var_os("UDAS_WRITE_DOCS").is_some();
    let matrix = if writes { 96 } else { 32 };
    let randomised =
        Augment { contrast: Contrast::Randomised(RandomisationRanges::PUBLISHED), ..Augment::OFF };
    let spatial = Augment {
        contrast: Contrast::Altered(AugmentationRanges::SCANNERS),
        deformation: Some(DeformationRanges::PUBLISHED),
        ..Augment::OFF
    };
    for (task, domain, seen) in
        [("head", "GE_3", Preprocessing::CC359), ("heart", "B", Preprocessing::MNMS)]
    {
        bench.succeed(&format!(
            "phantom --task {task} --out {task} --domain {domain} --subjects 1 --matrix {matrix}"
        ));
        for (name, augment) in [("randomised", randomised), ("spatial", spatial)] {
            let drawn = drawn(&bench, task, (domain, seen.clone()), augment);
            assert_eq!(drawn.panels.len(), 12);
            let (sheet, [width, height]) = drawn.sheet();
            assert!(sheet.contains(&0) && sheet.contains(&255), "{name} {task}");
            if writes {
                let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
                std::fs::create_dir_all(&pictures).unwrap();
                let path = pictures.join(format!("{name}_{task}.png"));
                write_rgb_png(&path, &sheet, width, height).unwrap();
            }
        }
    }
}
