//! Whether a model can be expected to work on a set of images: what it was trained on beside what they are.
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use udas_data::{Geometry, Landmarks, Plane, Subject};
use udas_model::ModelFile;
use udas_run::{intensity, readiness, selection, spacing};

/// Mean distance of intensity quantiles, after the model's preprocessing, beyond which accuracy is lost.
pub const SHIFTED: f64 = 0.05;

/// What a user may expect of a model on some images, and what to do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Suitability {
    /// Mean distance of the images' intensity quantiles from the source's, both as the network sees them; none where the
    /// model keeps no histogram.
    pub intensity_distance: Option<f64>,
    /// What differs from what the model was trained on, and what follows.
    pub differences: Vec<String>,
    /// What the model's file does not say.
    pub unknown: Vec<&'static str>,
    /// What is done with the images, where the model's plans say it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
    /// What to do.
    pub advice: String,
}

impl Suitability {
    /// Reads headers, and the volumes for their intensities.
    pub fn of(model: &ModelFile, path: &Path, subjects: &[Subject]) -> Result<Self> {
        let mut found = Self {
            intensity_distance: None,
            differences: readiness::of_source(model),
            unknown: Vec::new(),
            plan: Vec::new(),
            advice: String::new(),
        };
        found.compare_geometry(model, subjects)?;
        found.compare_orientations(model, subjects);
        found.compare_intensities(model, subjects)?;
        found.advice = found.advise(path);
        Ok(found)
    }

    fn compare_geometry(&mut self, model: &ModelFile, subjects: &[Subject]) -> Result<()> {
        if model.info.geometry.is_none() {
            self.unknown.push("voxel sizes and fields of view of its source");
        } else if let Some(here) = Geometry::of(subjects)? {
            self.differences.extend(spacing::differences(&model.info, &here));
        }
        Ok(())
    }

    fn compare_orientations(&mut self, model: &ModelFile, subjects: &[Subject]) {
        if model.info.preprocessing.plane != Plane::Stored || model.info.orientations.is_empty() {
            return;
        }
        let here = selection::orientations(subjects).into_keys();
        let others: Vec<_> = here.filter(|axes| !model.info.orientations.contains(axes)).collect();
        if !others.is_empty() {
            self.differences.push(format!(
                "axes {} here, {} in training: the model takes slices as they are stored and sees these turned or mirrored; \
                 reorient the images",
                others.join(", "),
                model.info.orientations.join(", ")
            ));
        }
    }

    fn compare_intensities(&mut self, model: &ModelFile, subjects: &[Subject]) -> Result<()> {
        let Some(source) = &model.info.source_histogram else {
            self.unknown.push("the intensities of its source");
            return Ok(());
        };
        let here = intensity::histogram(subjects, &model.info.preprocessing)?;
        let distance = distance(source, &here);
        self.intensity_distance = Some(distance);
        if distance > SHIFTED {
            self.differences.push(format!(
                "intensities, as the network sees them, lie {distance:.3} from the source's: expect a loss of accuracy"
            ));
        }
        Ok(())
    }

    /// What to do about all this.
    pub fn advise(&self, model: &Path) -> String {
        let model = model.display();
        if self.differences.is_empty() && self.unknown.is_empty() {
            return "nothing speaks against this model here; predict, and look at some masks"
                .into();
        }
        if self.differences.is_empty() {
            return "what is known does not speak against this model here; predict, and look at some masks".into();
        }
        let shifted = self.intensity_distance.is_some_and(|distance| distance > SHIFTED);
        let first = if shifted {
            format!("adapt first: udas adapt --model {model} --images FILES --out RUN")
        } else {
            "put right what is listed first".to_owned()
        };
        first + ", and let `udas judge` say whether the result is to be kept"
    }

    /// For people.
    pub fn text(&self, model: &Path) -> String {
        let mut text = format!("with {}:\n", model.display());
        if let Some(distance) = self.intensity_distance {
            text += &format!("  distance of intensities from the source's: {distance:.3}\n");
        }
        for difference in &self.differences {
            text += &format!("  differs {difference}\n");
        }
        for unknown in &self.unknown {
            text += &format!("  unknown the model's file does not say {unknown}\n");
        }
        for step in &self.plan {
            text += &format!("  plan    {step}\n");
        }
        text + &format!("  advice  {}\n", self.advice)
    }
}

/// Mean distance of two histograms' quantiles.
fn distance(source: &Landmarks, here: &Landmarks) -> f64 {
    let pairs = source.points().zip(here.points());
    let apart = pairs.map(|((_, a), (_, b))| f64::from((a - b).abs()));
    apart.sum::<f64>() / source.points().len().max(1) as f64
}
