//! plans.json: what was planned for a data set, in the files of nnU-Net 2.0 to 2.8.
use crate::fields::Fields;
use crate::resample::THICK;
use crate::resample::{Order, Resampling, SeparateZ};
use crate::{Error, Result, json};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Name of the file in a model folder.
pub const PLANS_FILE: &str = "plans.json";

/// The plans of a data set.
#[derive(Clone, Debug)]
pub struct Plans {
    path: PathBuf,
    /// For each axis of the network, the axis of the image `[z, y, x]`.
    pub transpose_forward: [usize; 3],
    /// The way back.
    pub transpose_backward: [usize; 3],
    /// How images are read.
    pub reader: Reader,
    intensities: Map<String, Value>,
    configurations: Map<String, Value>,
    top: Map<String, Value>,
}

/// How images were read for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// In the file's own axes.
    Stored,
    /// Brought to right, anterior, superior first.
    ToRas,
}

/// A configuration such as `3d_fullres`, what it inherits included.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Its name.
    pub name: String,
    /// Voxels of a patch; two values where slices are predicted.
    pub patch: Vec<usize>,
    /// Patches of a training step, where the plans say it.
    pub batch_size: Option<usize>,
    /// Millimetres from voxel to voxel; as many values as the patch.
    pub spacing: Vec<f64>,
    /// One a channel.
    pub normalizations: Vec<Normalization>,
    /// Of images.
    pub image_resampling: Resampling,
    /// Of logits.
    pub logit_resampling: Resampling,
    /// The network.
    pub architecture: Architecture,
}

/// How the intensities of a channel are brought to a common scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normalization {
    /// Mean 0, deviation 1.
    ZScore {
        /// Over the part of the image that is not empty, and there alone.
        masked: bool,
    },
    /// The training set's percentiles, mean and deviation.
    Ct(Intensities),
    /// The smallest value 0, the largest 1.
    RescaleTo01,
    /// A 255th.
    RgbTo01,
    /// As they are.
    Unchanged,
}

/// The training set's intensities in a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intensities {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub deviation: f32,
    /// Percentile 0.5.
    pub low: f32,
    /// Percentile 99.5.
    pub high: f32,
}

/// Kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// `PlainConvUNet`.
    Plain,
    /// `ResidualEncoderUNet`.
    Residual,
}

/// The network that was planned; what the weights say goes before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Kind.
    pub encoder: Encoder,
    /// Channels of each stage.
    pub features: Vec<usize>,
    /// Kernel of each stage, one size an axis.
    pub kernels: Vec<Vec<usize>>,
    /// Stride into each stage.
    pub strides: Vec<Vec<usize>>,
    /// Convolutions, or residual blocks, of each stage.
    pub units: Vec<usize>,
    /// Convolutions of each stage of the way up, the deepest first.
    pub decoder: Vec<usize>,
    /// Whether convolutions are followed by a norm with scale and shift.
    pub has_norm: bool,
}

impl Plans {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Model`] with what is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(path, json::read(path)?)
    }

    fn of(path: &Path, top: Map<String, Value>) -> Result<Self> {
        let fields = Fields { path, place: "the plans", map: &top };
        let transpose_forward = permutation(&fields, "transpose_forward")?;
        let transpose_backward = permutation(&fields, "transpose_backward")?;
        let is_inverse = (0..3).all(|axis| transpose_backward[transpose_forward[axis]] == axis);
        if !is_inverse {
            return Err(fields.wrong("transpose_backward", "does not undo `transpose_forward`"));
        }
        let intensities = ["per_channel", "by_modality"]
            .into_iter()
            .find_map(|by| fields.get(&format!("foreground_intensity_properties_{by}")))
            .and_then(Value::as_object);
        Ok(Self {
            path: path.to_owned(),
            transpose_forward,
            transpose_backward,
            reader: reader(&fields)?,
            intensities: intensities.cloned().unwrap_or_default(),
            configurations: fields.object("configurations")?.clone(),
            top: top.clone(),
        })
    }

    /// Names of the configurations.
    pub fn names(&self) -> Vec<&str> {
        self.configurations.keys().map(String::as_str).collect()
    }

    /// A configuration by name.
    ///
    /// # Errors
    /// [`Error::Model`] when there is none, or it asks for what is not supported.
    pub fn configuration(&self, name: &str) -> Result<Configuration> {
        let map = self.inherited(name)?;
        let place = format!("the configuration {name}");
        let fields = Fields { path: &self.path, place: &place, map: &map };
        if fields.get("previous_stage").is_some() {
            return Err(
                fields.wrong("previous_stage", "makes it a cascade, which is not supported yet")
            );
        }
        only(&fields, "preprocessor_name", "DefaultPreprocessor")?;
        let patch = fields.sizes("patch_size")?;
        let axes = patch.len();
        if !(2..=3).contains(&axes) || patch.contains(&0) {
            return Err(fields.wrong("patch_size", "is not two or three sizes"));
        }
        let spacing = fields.numbers("spacing")?;
        if spacing.len() != axes || !spacing.iter().all(|&mm| mm > 0.0 && mm.is_finite()) {
            return Err(fields.wrong("spacing", "is not a length for each axis of the patch"));
        }
        Ok(Configuration {
            name: name.to_owned(),
            patch,
            batch_size: fields.size("batch_size").ok(),
            spacing,
            normalizations: self.normalizations(&fields)?,
            image_resampling: resampling(&fields, "resampling_fn_data", Order::Cubic)?,
            logit_resampling: resampling(&fields, "resampling_fn_probabilities", Order::Linear)?,
            architecture: self.architecture(&fields, axes)?,
        })
    }

    /// A configuration over those that it inherits from.
    fn inherited(&self, name: &str) -> Result<Map<String, Value>> {
        let (mut chain, mut next) = (Vec::new(), Some(name));
        while let Some(name) = next {
            let Some(map) = self.configurations.get(name).and_then(Value::as_object) else {
                let names = self.names().join(", ");
                let problem = format!(
                    "has no configuration {name}, only {names}; is it of another training?"
                );
                return Err(Error::model(&self.path, problem));
            };
            if chain.len() == self.configurations.len() {
                let problem =
                    "has configurations that inherit from each other in a circle; copy it again";
                return Err(Error::model(&self.path, problem));
            }
            chain.push(map);
            next = map.get("inherits_from").and_then(Value::as_str);
        }
        let entries = chain.into_iter().rev().flatten();
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn normalizations(&self, fields: &Fields) -> Result<Vec<Normalization>> {
        let schemes = fields.list("normalization_schemes")?;
        let masked = fields.list("use_mask_for_norm")?;
        let of = |(channel, scheme): (usize, &Value)| {
            let scheme = scheme.as_str().map(last_part);
            Ok(match scheme {
                Some("ZScoreNormalization") => {
                    let masked = masked.get(channel).and_then(Value::as_bool);
                    Normalization::ZScore { masked: masked.unwrap_or(false) }
                }
                Some("CTNormalization") => Normalization::Ct(self.intensities(channel)?),
                Some("RescaleTo01Normalization") => Normalization::RescaleTo01,
                Some("RGBTo01Normalization") => Normalization::RgbTo01,
                Some("NoNormalization") => Normalization::Unchanged,
                other => {
                    let problem = format!(
                        "asks for {}, which is not supported",
                        other.unwrap_or("nothing known")
                    );
                    return Err(fields.wrong("normalization_schemes", &problem));
                }
            })
        };
        schemes.iter().enumerate().map(of).collect()
    }

    fn intensities(&self, channel: usize) -> Result<Intensities> {
        let place = format!("the training set's intensities in channel {channel}");
        let map = self.intensities.get(&channel.to_string()).and_then(Value::as_object);
        let empty = Map::new();
        let fields = Fields { path: &self.path, place: &place, map: map.unwrap_or(&empty) };
        let number = |key: &str| {
            let value = fields.get(key).and_then(Value::as_f64);
            value.map(|value| value as f32).ok_or_else(|| fields.wrong(key, "is no number"))
        };
        Ok(Intensities {
            mean: number("mean")?,
            deviation: number("std")?,
            low: number("percentile_00_5")?,
            high: number("percentile_99_5")?,
        })
    }

    fn architecture(&self, fields: &Fields, axes: usize) -> Result<Architecture> {
        if fields.get("architecture").is_none() {
            return self.old_architecture(fields, axes);
        }
        let outer = Fields { map: fields.object("architecture")?, ..*fields };
        let encoder = encoder(&outer, "network_class_name")?;
        let kwargs = Fields { map: outer.object("arch_kwargs")?, ..*fields };
        check_layers(&kwargs)?;
        let stages = kwargs.size("n_stages")?;
        let units = match encoder {
            Encoder::Plain => "n_conv_per_stage",
            Encoder::Residual => "n_blocks_per_stage",
        };
        let architecture = Architecture {
            encoder,
            features: kwargs.sizes_of("features_per_stage", stages)?,
            kernels: kwargs.tuples("kernel_sizes", stages, axes)?,
            strides: kwargs.tuples("strides", stages, axes)?,
            units: kwargs.sizes_of(units, stages)?,
            decoder: kwargs.sizes_of("n_conv_per_stage_decoder", stages.saturating_sub(1))?,
            has_norm: has_norm(&kwargs)?,
        };
        checked(architecture, &kwargs)
    }

    /// As plans said it before nnU-Net 2.2.2.
    fn old_architecture(&self, fields: &Fields, axes: usize) -> Result<Architecture> {
        let encoder = encoder(fields, "UNet_class_name")?;
        let stages = fields.sizes("n_conv_per_stage_encoder")?.len();
        let base = fields.size("UNet_base_num_features")?;
        let most = fields.size("unet_max_num_features")?;
        let features = |stage: usize| base.checked_shl(stage as u32).unwrap_or(most).min(most);
        let architecture = Architecture {
            encoder,
            features: (0..stages).map(features).collect(),
            kernels: fields.tuples("conv_kernel_sizes", stages, axes)?,
            strides: fields.tuples("pool_op_kernel_sizes", stages, axes)?,
            units: fields.sizes("n_conv_per_stage_encoder")?,
            decoder: fields.sizes_of("n_conv_per_stage_decoder", stages.saturating_sub(1))?,
            has_norm: true,
        };
        checked(architecture, fields)
    }

    /// A value at the top of the file.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.top.get(key)
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn permutation(fields: &Fields, key: &str) -> Result<[usize; 3]> {
    let axes = fields.sizes(key)?;
    match axes[..] {
        [a, b, c] if (0..3).all(|axis| axes.contains(&axis)) => Ok([a, b, c]),
        _ => Err(fields.wrong(key, "is not an order of three axes")),
    }
}

fn reader(fields: &Fields) -> Result<Reader> {
    match last_part(fields.text("image_reader_writer")?) {
        "SimpleITKIO" | "NibabelIO" => Ok(Reader::Stored),
        "NibabelIOWithReorient" | "SimpleITKIOWithReorient" => Ok(Reader::ToRas),
        other => {
            let problem = format!("is {other}, which is not supported; NIfTI files are read");
            Err(fields.wrong("image_reader_writer", &problem))
        }
    }
}

fn encoder(fields: &Fields, key: &str) -> Result<Encoder> {
    match last_part(fields.text(key)?) {
        "PlainConvUNet" => Ok(Encoder::Plain),
        "ResidualEncoderUNet" => Ok(Encoder::Residual),
        other => {
            let problem =
                format!("is {other}; PlainConvUNet and ResidualEncoderUNet are supported");
            Err(fields.wrong(key, &problem))
        }
    }
}

fn only(fields: &Fields, key: &str, known: &str) -> Result<()> {
    match fields.get(key).map(|value| value.as_str().map_or("", last_part)) {
        Some(name) if name != known => {
            Err(fields.wrong(key, &format!("is {name}, which is not supported; {known} is")))
        }
        _ => Ok(()),
    }
}

/// Refuses layers that the networks here have not.
fn check_layers(kwargs: &Fields) -> Result<()> {
    only(kwargs, "nonlin", "LeakyReLU")?;
    if kwargs.get("nonlin_first").and_then(Value::as_bool) == Some(true) {
        return Err(kwargs.wrong("nonlin_first", "is set, which is not supported"));
    }
    if kwargs.get("block").is_some() {
        only(kwargs, "block", "BasicBlockD")?;
    }
    for (key, value, known) in
        [("nonlin_kwargs", "negative_slope", 0.01), ("norm_op_kwargs", "eps", 1e-5)]
    {
        let found = kwargs.get(key).and_then(|map| map.get(value)).and_then(Value::as_f64);
        if found.is_some_and(|found| found != known) {
            return Err(kwargs.wrong(
                key,
                &format!("gives another {value} than {known}, which is not supported"),
            ));
        }
    }
    Ok(())
}

/// Whether the plans ask for a norm; refuses those that the networks here have not.
fn has_norm(kwargs: &Fields) -> Result<bool> {
    let key = "norm_op";
    match kwargs.map.get(key) {
        Some(Value::Null) => return Ok(false),
        Some(value) => {
            let name = value.as_str().map_or("", last_part);
            if !["InstanceNorm", "BatchNorm"].iter().any(|known| name.starts_with(known)) {
                let problem =
                    format!("is {name}, which is not supported; InstanceNorm and BatchNorm are");
                return Err(kwargs.wrong(key, &problem));
            }
        }
        None => {}
    }
    let settings = kwargs.get("norm_op_kwargs");
    if settings.and_then(|settings| settings.get("affine")).and_then(Value::as_bool) == Some(false)
    {
        let problem = "asks for norms without scale and shift, which are not supported";
        return Err(kwargs.wrong("norm_op_kwargs", problem));
    }
    Ok(true)
}

fn checked(architecture: Architecture, fields: &Fields) -> Result<Architecture> {
    const MOST_STAGES: usize = 16;
    let stages = architecture.features.len();
    if !(2..=MOST_STAGES).contains(&stages) {
        return Err(fields.wrong("n_stages", &format!("is {stages}, not 2 to {MOST_STAGES}")));
    }
    Ok(architecture)
}

fn resampling(fields: &Fields, key: &str, usual: Order) -> Result<Resampling> {
    only(fields, key, "resample_data_or_seg_to_shape")?;
    let key = format!("{key}_kwargs");
    let empty = Map::new();
    let given = fields.get(&key).and_then(Value::as_object);
    let kwargs = given.unwrap_or(&empty);
    let threshold = kwargs.get("separate_z_anisotropy_threshold").and_then(Value::as_f64);
    if threshold.is_some_and(|threshold| threshold != THICK) {
        let problem = format!(
            "gives another `separate_z_anisotropy_threshold` than {THICK}, which is not supported"
        );
        return Err(fields.wrong(&key, &problem));
    }
    let order = |name: &str, usual: Order| match kwargs.get(name).map(Value::as_u64) {
        None => Ok(usual),
        Some(Some(0)) => Ok(Order::Nearest),
        Some(Some(1)) => Ok(Order::Linear),
        Some(Some(3)) => Ok(Order::Cubic),
        Some(_) => Err(fields.wrong(&key, &format!("gives an `{name}` other than 0, 1 and 3"))),
    };
    let separate_z = match kwargs.get("force_separate_z") {
        // What is not said is the original's default, but where nothing is said at all.
        None if given.is_some() => SeparateZ::Never,
        None | Some(Value::Null) => SeparateZ::ByThickness,
        Some(Value::Bool(true)) => SeparateZ::Always,
        Some(_) => SeparateZ::Never,
    };
    Ok(Resampling {
        order: order("order", usual)?,
        order_z: order("order_z", Order::Nearest)?,
        separate_z,
    })
}
