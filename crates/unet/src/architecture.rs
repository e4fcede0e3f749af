//! The network's layers, with the state-dict names of the published implementation.
use serde::{Deserialize, Serialize};
use udas_nn::{Chain, Entry, Layer, Mismatch, Result, StateDict, UnitSpec};

/// Encoder stages; stage `s` has `filters * 2^s` channels at `1 / 2^s` of the input's size.
pub const STAGES: usize = 4;

/// What decides a network's shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Architecture {
    /// Channels of the first stage; 16 in the paper.
    pub filters: usize,
    /// Output channels: 1 for a binary task, else one a class, background included.
    pub outputs: usize,
}

impl Architecture {
    /// Reads the architecture from a state dict's shapes.
    ///
    /// # Errors
    /// When the two entries that tell it are missing.
    pub fn from_state(state: &StateDict) -> Result<Self> {
        let first_axis = |name: &str| match state.get(name).map(|tensor| tensor.dims()) {
            Some([size, ..]) => Ok(*size),
            _ => {
                let missing = vec![name.to_owned()];
                Err(udas_nn::Error::Mismatch(Mismatch { missing, ..Mismatch::default() }))
            }
        };
        let filters = first_axis("init_path.0.weight")?;
        let outputs = first_axis("out_path.1.layer.weight")?;
        Ok(Self { filters, outputs })
    }

    /// Channels of a stage's output.
    pub fn channels(&self, stage: usize) -> usize {
        self.filters << stage
    }

    /// Classes, background included.
    pub fn classes(&self) -> usize {
        self.outputs.max(2)
    }

    pub(crate) fn layers(&self) -> Layers {
        Layers {
            stages: (0..STAGES).map(|stage| self.stage(stage)).collect(),
            shortcuts: (0..STAGES - 1).map(|stage| self.shortcut(stage)).collect(),
            ups: (1..STAGES).map(|stage| self.up(stage)).collect(),
            out: self.out(),
        }
    }

    /// Stage 0 is the stem; the others halve the size first.
    fn stage(&self, stage: usize) -> Chain {
        let channels = self.channels(stage);
        let (mut layers, prefix, first_block) = if stage == 0 {
            let stem = UnitSpec::conv3x3("init_path.0", 1, channels).then_relu();
            (vec![Layer::Unit(stem)], "init_path".to_owned(), 2)
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

    fn shortcut(&self, stage: usize) -> Chain {
        let (name, channels) = (format!("shortcut{stage}"), self.channels(stage));
        Chain::new(vec![Layer::Unit(UnitSpec::conv1x1(&name, channels, channels).with_bias())])
    }

    /// From stage `stage` to the size and channels of the stage before it.
    fn up(&self, stage: usize) -> Chain {
        let channels = self.channels(stage);
        let mut layers: Vec<_> =
            (0..3).map(|i| block3x3(&format!("up{stage}.{i}"), channels)).collect();
        let up = UnitSpec::up2x2(&format!("up{stage}.4"), channels, channels / 2)
            .after_norm(&format!("up{stage}.3"))
            .then_relu();
        layers.push(Layer::Unit(up));
        Chain::new(layers)
    }

    fn out(&self) -> Chain {
        let filters = self.filters;
        let unit = |part: usize| {
            UnitSpec::conv1x1(&format!("out_path.0.conv_path.{part}.layer"), filters, filters)
                .after_norm_relu(&format!("out_path.0.conv_path.{part}.bn"))
        };
        let last = UnitSpec::conv1x1("out_path.1.layer", filters, self.outputs)
            .after_norm_relu("out_path.1.bn")
            .with_bias();
        Chain::new(vec![
            Layer::Residual(unit(0), unit(1)),
            Layer::Unit(last),
            Layer::Norm { name: "out_path.2".into(), channels: self.outputs },
        ])
    }
}

fn block3x3(prefix: &str, channels: usize) -> Layer {
    let unit = |part: usize| {
        UnitSpec::conv3x3(&format!("{prefix}.conv_path.{part}.layer"), channels, channels)
            .after_norm_relu(&format!("{prefix}.conv_path.{part}.bn"))
    };
    Layer::Residual(unit(0), unit(1))
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
    pub fn entries(&self) -> Vec<Entry> {
        let chains = self.stages.iter().chain(&self.shortcuts).chain(&self.ups);
        chains.chain([&self.out]).flat_map(Chain::entries).collect()
    }
}
