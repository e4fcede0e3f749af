//! A teacher that is an average of its student over past steps (Tarvainen and Valpola 2017, equation 3).
use candle_core::{Device, Tensor};
use udas_nn::{NormMode, Parameters, Result, StateDict};
use udas_unet::UNet;

/// An exponential average of a network: weights and batch-norm statistics alike.
pub(crate) struct Teacher {
    unet: UNet,
    decay: f64,
}

impl Teacher {
    /// Begins as its student.
    pub fn of(student: &UNet, decay: f64, device: &Device) -> Result<Self> {
        let unet = UNet::from_state(&student.parameters().state()?, device)?;
        Ok(Self { unet, decay })
    }

    /// The averaged network.
    pub fn unet(&self) -> &UNet {
        &self.unet
    }

    /// Final logits in evaluation mode; no gradient flows.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        self.unet.forward(images, NormMode::Running)
    }

    /// teacher <- decay * teacher + (1 - decay) * student; counts are copied.
    pub fn follow(&self, student: &Parameters) -> Result<()> {
        for (name, _) in student.names() {
            let own = self.unet.parameters().var(name)?;
            let other = student.value(name)?.detach();
            if own.dtype().is_float() {
                own.set(
                    &((own.as_tensor() * self.decay)? + (other * (1.0 - self.decay))?)?.detach(),
                )?;
            } else {
                own.set(&other.copy()?)?;
            }
        }
        Ok(())
    }

    pub fn restore(&self, state: &StateDict) -> Result<()> {
        self.unet.parameters().set_state(state)
    }
}
