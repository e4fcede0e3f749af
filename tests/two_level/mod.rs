//! A network family of another make: a plain U-Net of two levels with instance norm and LeakyReLU, on candle's own
//! operations. Nothing outside this file knows it.
use candle_core::{Device, Tensor};
use udas_network::{
    Family, Features, LastLayer, Network, NormKind, Part, Shape, Spec, Stage, random_state,
};
use udas_nn::{Entry, Error, Mismatch, NormMode, Parameters, Result, Role, StateDict, layout};

/// The family.
pub struct TwoLevel;

const NAME: &str = "two-level";
const MARK: &str = "enc0.conv.weight";
const SLOPE: f64 = 0.01;
const EPSILON: f64 = 1e-5;

struct TwoLevelUNet {
    spec: Spec,
    parameters: Parameters,
}

fn spec(shape: Shape) -> Spec {
    let stage = |stage| Stage {
        channels: shape.filters << stage,
        stride: [1, 1usize << stage, 1usize << stage],
    };
    Spec {
        family: NAME.into(),
        inputs: 1,
        axes: 2,
        outputs: shape.outputs,
        stages: [0, 1].map(stage).into(),
        norm: NormKind::Instance,
    }
}

fn entries(Shape { filters, outputs }: Shape) -> Vec<Entry> {
    let of = |name: &str, part: &str, shape: &[usize], role| Entry {
        name: format!("{name}.{part}"),
        shape: shape.to_vec(),
        role,
    };
    let block = |name: &str, inputs: usize, outputs: usize| {
        vec![
            of(name, "conv.weight", &[outputs, inputs, 3, 3], Role::Weight),
            of(name, "norm.weight", &[outputs], Role::NormAffine),
            of(name, "norm.bias", &[outputs], Role::NormAffine),
        ]
    };
    [
        block("enc0", 1, filters),
        block("enc1", filters, 2 * filters),
        vec![of("up", "weight", &[2 * filters, filters, 2, 2], Role::Weight)],
        block("dec0", 2 * filters, filters),
        vec![
            of("seg", "weight", &[outputs, filters, 1, 1], Role::Weight),
            of("seg", "bias", &[outputs], Role::Weight),
        ],
    ]
    .concat()
}

impl Family for TwoLevel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mark(&self) -> &'static str {
        MARK
    }

    fn build(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
        let first_axis = |name: &str| match state.get(name).map(|tensor| tensor.dims()) {
            Some([size, ..]) => Ok(*size),
            _ => {
                let missing = vec![name.to_owned()];
                Err(Error::Mismatch(Mismatch { missing, ..Mismatch::default() }))
            }
        };
        let shape = Shape { filters: first_axis(MARK)?, outputs: first_axis("seg.weight")? };
        let parameters = Parameters::new(&entries(shape), state, device)?;
        Ok(Box::new(TwoLevelUNet { spec: spec(shape), parameters }))
    }

    fn random(&self, shape: Shape, seed: u64, device: &Device) -> Result<Box<dyn Network>> {
        self.build(&random_state(&entries(shape), seed)?, device)
    }

    fn spec(&self, shape: Shape) -> Spec {
        spec(shape)
    }
}

impl TwoLevelUNet {
    /// Convolution, instance norm, LeakyReLU; `[N, C, H, W]`.
    fn block(&self, name: &str, x: &Tensor, stride: usize) -> Result<Tensor> {
        let value = |part: &str| self.parameters.value(&format!("{name}.{part}"));
        let x = x.conv2d(&value("conv.weight")?, 1, stride, 1, 1)?;
        let column = |tensor: Tensor| tensor.reshape((1, tensor.elem_count(), 1, 1));
        let centred = x.broadcast_sub(&x.mean_keepdim((2, 3))?)?;
        let variance = centred.sqr()?.mean_keepdim((2, 3))?;
        let normal = centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?;
        let x = normal
            .broadcast_mul(&column(value("norm.weight")?)?)?
            .broadcast_add(&column(value("norm.bias")?)?)?;
        Ok((x.relu()? - (x.neg()?.relu()? * SLOPE)?)?)
    }
}

impl Network for TwoLevelUNet {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn part(&self, entry: &str) -> Part {
        match entry.split('.').next() {
            Some("enc0") => Part::Encoder(0),
            Some("enc1") => Part::Encoder(1),
            Some("up" | "dec0") => Part::Decoder(0),
            _ => Part::Output,
        }
    }

    fn last_layer(&self) -> LastLayer {
        LastLayer { weight: "seg.weight".into(), bias: Some("seg.bias".into()), is_scale: false }
    }

    fn encode(&self, images: &Tensor, stage: usize, _: NormMode) -> Result<Features> {
        self.spec.check(images)?;
        let first = self.block("enc0", images, 1)?;
        let mut features = Features::new(vec![layout::to_channels_last(&first)?]);
        if stage > 0 {
            features.push(layout::to_channels_last(&self.block("enc1", &first, 2)?)?);
        }
        Ok(features)
    }

    fn decode(&self, features: &Features, _: NormMode) -> Result<Tensor> {
        let first = features.stages().first().ok_or(Error::NoFeatures)?;
        let first = layout::to_channels_first(first)?;
        let second = match features.stages() {
            [_, second, ..] => layout::to_channels_first(second)?,
            _ => self.block("enc1", &first, 2)?,
        };
        let value = |name: &str| self.parameters.value(name);
        let up = second.conv_transpose2d(&value("up.weight")?, 0, 0, 2, 1)?;
        let joined = self.block("dec0", &Tensor::cat(&[&up, &first], 1)?, 1)?;
        let bias = value("seg.bias")?.reshape((1, self.spec.outputs, 1, 1))?;
        Ok(joined.conv2d(&value("seg.weight")?, 0, 1, 1, 1)?.broadcast_add(&bias)?)
    }

    fn with_state(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
        TwoLevel.build(state, device)
    }
}
