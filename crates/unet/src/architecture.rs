//! The network's layers, with the state-dict names of the published implementation.
use udas_network::{NormKind, Shape, Spec, Stage};
use udas_nn::{Chain, Entry, Error, Layer, Mismatch, Result, StateDict, UnitSpec};

/// Encoder stages; stage `s` has `filters * 2^s` channels at `1 / 2^s` of the input's size.
pub const STAGES: usize = 4;

/// The family's name.
pub(crate) const NAME: &str = "residual-unet";

/// The first entry, by which the family is known.
pub(crate) const FIRST: &str = "init_path.0.weight";

/// Stage 0.
pub(crate) const STEM: &str = "init_path";

/// Batch norm on the logits, the last layer.
pub(crate) const LOGIT_NORM: &str = "out_path.2";

/// Reads a network's shape from the shapes of its state dict.
pub(crate) fn shape_of(state: &StateDict) -> Result<Shape> {
    let first_axis = |name: &str| match state.get(name).map(|tensor| tensor.dims()) {
        Some([size, ..]) => Ok(*size),
        _ => {
            let missing = vec![name.to_owned()];
            Err(Error::Mismatch(Mismatch { missing, ..Mismatch::default() }))
        }
    };
    let filters = first_axis(FIRST)?;
    let outputs = first_axis("out_path.1.layer.weight")?;
    Ok(Shape { filters, outputs })
}

/// A shape in the words that all families share.
pub(crate) fn spec(shape: Shape) -> Spec {
    let stage =
        |stage| Stage { channels: channels(shape, stage), stride: [1, 1 << stage, 1 << stage] };
    Spec {
        family: NAME.into(),
        inputs: 1,
        axes: 2,
        outputs: shape.outputs,
        stages: (0..STAGES).map(stage).collect(),
        norm: NormKind::Batch,
    }
}

fn channels(shape: Shape, stage: usize) -> usize {
    shape.filters << stage
}

/// The chains of a network.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    /// `init_path`, `down1..3`.
    pub stages: Vec<Chain>,
    /// `shortcut0..2`.
    pub shortcuts: Vec<Chain>,
    /// `up1..3`.
    pub ups: Vec<Chain>,
    pub out: Chain,
}

impl Layers {
    pub fn new(shape: Shape) -> Self {
        Self {
            stages: (0..STAGES).map(|s| stage(s, channels(shape, s))).collect(),
            shortcuts: (0..STAGES - 1).map(|s| shortcut(s, channels(shape, s))).collect(),
            ups: (1..STAGES).map(|s| up(s, channels(shape, s))).collect(),
            out: out(shape),
        }
    }

    pub fn entries(&self) -> Vec<Entry> {
        let chains = self.stages.iter().chain(&self.shortcuts).chain(&self.ups);
        chains.chain([&self.out]).flat_map(Chain::entries).collect()
    }
}

/// Stage 0 is the stem; the others halve the size first.
fn stage(stage: usize, channels: usize) -> Chain {
    let (mut layers, prefix, first_block) = if stage == 0 {
        let stem = UnitSpec::conv3x3("init_path.0", 1, channels).then_relu();
        (vec![Layer::Unit(stem)], STEM.to_owned(), 2)
    } else {
        let prefix = format!("down{stage}");
        let down = UnitSpec::down2x2(&format!("{prefix}.1"), channels / 2, channels)
            .after_norm(&format!("{prefix}.0"))
            .then_relu();
        (vec![Layer::Unit(down)], prefix, 4)
    };
    layers.extend((0..3).map(|i| block3x3(&format!("{prefix}.{}", first_block + i), channels)));
    Chain::new(layers)
}

fn shortcut(stage: usize, channels: usize) -> Chain {
    let name = format!("shortcut{stage}");
    Chain::new(vec![Layer::Unit(UnitSpec::conv1x1(&name, channels, channels).with_bias())])
}

/// From stage `stage` to the size and channels of the stage before it.
fn up(stage: usize, channels: usize) -> Chain {
    let mut layers: Vec<_> =
        (0..3).map(|i| block3x3(&format!("up{stage}.{i}"), channels)).collect();
    let up = UnitSpec::up2x2(&format!("up{stage}.4"), channels, channels / 2)
        .after_norm(&format!("up{stage}.3"))
        .then_relu();
    layers.push(Layer::Unit(up));
    Chain::new(layers)
}

fn out(shape: Shape) -> Chain {
    let Shape { filters, outputs } = shape;
    let unit = |part: usize| {
        UnitSpec::conv1x1(&format!("out_path.0.conv_path.{part}.layer"), filters, filters)
            .after_norm_relu(&format!("out_path.0.conv_path.{part}.bn"))
    };
    let last = UnitSpec::conv1x1("out_path.1.layer", filters, outputs)
        .after_norm_relu("out_path.1.bn")
        .with_bias();
    Chain::new(vec![
        Layer::Residual(unit(0), unit(1)),
        Layer::Unit(last),
        Layer::Norm { name: LOGIT_NORM.into(), channels: outputs },
    ])
}

fn block3x3(prefix: &str, channels: usize) -> Layer {
    let unit = |part: usize| {
        UnitSpec::conv3x3(&format!("{prefix}.conv_path.{part}.layer"), channels, channels)
            .after_norm_relu(&format!("{prefix}.conv_path.{part}.bn"))
    };
    Layer::Residual(unit(0), unit(1))
}
