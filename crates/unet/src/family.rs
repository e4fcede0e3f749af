//! The paper's network as a family.
use crate::UNet;
use crate::architecture::{self, FIRST};
use candle_core::Device;
use udas_network::{Family, Network, Shape, Spec};
use udas_nn::{Result, StateDict};

/// The residual U-Net.
#[derive(Clone, Copy, Debug)]
pub struct ResidualUNet;

impl Family for ResidualUNet {
    fn name(&self) -> &'static str {
        architecture::NAME
    }

    fn mark(&self) -> &'static str {
        FIRST
    }

    fn build(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
        Ok(Box::new(UNet::from_state(state, device)?))
    }

    fn random(&self, shape: Shape, seed: u64, device: &Device) -> Result<Box<dyn Network>> {
        Ok(Box::new(UNet::random(shape, seed, device)?))
    }

    fn spec(&self, shape: Shape) -> Spec {
        architecture::spec(shape)
    }
}
