//! The network: stages down, shortcuts across, stages up.
use crate::architecture::{self, LOGIT_NORM, Layers, STAGES, STEM};
use candle_core::{Device, Tensor};
use candle_nn::ModuleT;
use udas_network::{Features, LastLayer, Network, Part, Shape, Spec, random_state};
use udas_nn::{Error, Graph, IMAGES, NormMode, Operation, Parameters, Result, StateDict, layout};

/// The U-Net with its parameters.
pub struct UNet {
    spec: Spec,
    layers: Layers,
    parameters: Parameters,
}

impl UNet {
    /// A network with the weights of `state`, which is copied; the shape is read from it.
    ///
    /// # Errors
    /// When entries are missing, unexpected or misshapen; all are named.
    pub fn from_state(state: &StateDict, device: &Device) -> Result<Self> {
        let shape = architecture::shape_of(state)?;
        let layers = Layers::new(shape);
        let parameters = Parameters::new(&layers.entries(), state, device)?;
        Ok(Self { spec: architecture::spec(shape), layers, parameters })
    }

    /// A network with random weights.
    ///
    /// # Errors
    /// When the shape has no filters or no outputs, or memory for the weights cannot be had on `device`.
    pub fn random(shape: Shape, seed: u64, device: &Device) -> Result<Self> {
        if shape.filters == 0 || shape.outputs == 0 {
            return Err(Error::Shape(format!("{shape:?}: a network has filters and outputs")));
        }
        Self::from_state(&random_state(&Layers::new(shape).entries(), seed)?, device)
    }

    /// One step of the way up, to stage 0 to 2: the map `below`, of the stage after it, is brought to this stage's
    /// size, and the stage's own features come `across` and are added.
    ///
    /// # Errors
    /// When there is no such stage, or the maps are not of such sizes.
    pub fn up(
        &self,
        stage: usize,
        across: &Tensor,
        below: &Tensor,
        mode: NormMode,
    ) -> Result<Tensor> {
        let (Some(up), Some(shortcut)) =
            (self.layers.ups.get(stage), self.layers.shortcuts.get(stage))
        else {
            return Err(Error::Shape(format!("there is no way up to stage {stage}")));
        };
        let up = up.forward(&self.parameters, below, mode)?;
        shortcut.forward_plus(&self.parameters, across, &up, mode)
    }
}

impl Network for UNet {
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
        let layer = entry.split('.').next().unwrap_or_default();
        let number = |kind: &str| -> Option<usize> { layer.strip_prefix(kind)?.parse().ok() };
        if let Some(stage) = (layer == STEM).then_some(0).or_else(|| number("down")) {
            return Part::Encoder(stage);
        }
        // `up3` leads from stage 3 to the size of stage 2, where `shortcut2` crosses.
        let stage = number("up").map(|below| below - 1).or_else(|| number("shortcut"));
        stage.map_or(Part::Output, Part::Decoder)
    }

    fn last_layer(&self) -> LastLayer {
        LastLayer {
            weight: format!("{LOGIT_NORM}.weight"),
            bias: Some(format!("{LOGIT_NORM}.bias")),
            is_scale: true,
        }
    }

    fn encode(&self, images: &Tensor, stage: usize, mode: NormMode) -> Result<Features> {
        self.spec.check(images)?;
        let mut features = Features::new(Vec::with_capacity(STAGES));
        let mut map = layout::to_channels_last(images)?;
        for stage in &self.layers.stages[..=stage.min(STAGES - 1)] {
            map = stage.forward(&self.parameters, &map, mode)?;
            features.push(map.clone());
        }
        Ok(features)
    }

    fn decode(&self, features: &Features, mode: NormMode) -> Result<Tensor> {
        let mut features = features.clone();
        for stage in self.layers.stages.iter().skip(features.stages().len()) {
            let map = stage.forward(&self.parameters, features.deepest()?, mode)?;
            features.push(map);
        }
        let mut map = features.deepest()?.clone();
        for stage in (0..STAGES - 1).rev() {
            map = self.up(stage, &features.stages()[stage], &map, mode)?;
        }
        let logits = self.layers.out.forward(&self.parameters, &map, mode)?;
        Ok(layout::to_channels_first(&logits)?)
    }

    fn graph(&self) -> Option<Graph> {
        let mut graph = Graph::default();
        let mut maps = vec![];
        let mut map = IMAGES.to_owned();
        for stage in &self.layers.stages {
            map = stage.trace(&mut graph, &map);
            maps.push(map.clone());
        }
        for stage in (0..STAGES - 1).rev() {
            let up = self.layers.ups[stage].trace(&mut graph, &map);
            let across = self.layers.shortcuts[stage].trace(&mut graph, &maps[stage]);
            map = graph.add(Operation::Add, &[&across, &up]);
        }
        self.layers.out.trace(&mut graph, &map);
        Some(graph)
    }

    fn with_state(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
        let parameters = Parameters::new(&self.layers.entries(), state, device)?;
        let (spec, layers) = (self.spec.clone(), self.layers.clone());
        Ok(Box::new(Self { spec, layers, parameters }))
    }
}

impl ModuleT for UNet {
    fn forward_t(&self, images: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        Ok(self.forward(images, NormMode::of_train(train))?)
    }
}
