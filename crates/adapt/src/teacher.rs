//! A second network that teaches the first: as it was at the start, or an average of its student over past
//! steps (Tarvainen and Valpola 2017, section 2).
use crate::TeacherKind;
use candle_core::Device;
use udas_network::Network;
use udas_nn::{Parameters, Result, StateDict, averaged};

/// A fixed copy or an exponential average of a network: weights and batch-norm statistics alike.
pub(crate) struct Teacher {
    kind: TeacherKind,
    network: Box<dyn Network>,
    decay: f64,
}

impl Teacher {
    /// Begins as its student.
    pub fn of(
        student: &dyn Network,
        kind: TeacherKind,
        decay: f64,
        device: &Device,
    ) -> Result<Self> {
        let network = student.with_state(&student.parameters().state()?, device)?;
        Ok(Self { kind, network, decay })
    }

    /// Whether it is what comes of the training.
    pub fn is_kept(&self) -> bool {
        self.kind == TeacherKind::Averaged
    }

    /// The teaching network.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// teacher <- decay * teacher + (1 - decay) * student, counts are copied; a fixed one stays.
    pub fn follow(&self, student: &Parameters) -> Result<()> {
        if self.kind == TeacherKind::Fixed {
            return Ok(());
        }
        for (name, _) in student.names() {
            let own = self.network.parameters().var(name)?;
            let other = student.value(name)?.detach();
            if own.dtype().is_float() {
                own.set(&averaged(own.as_tensor(), &other, self.decay)?)?;
            } else {
                own.set(&other.copy()?)?;
            }
        }
        Ok(())
    }

    pub fn restore(&self, state: &StateDict) -> Result<()> {
        self.network.parameters().set_state(state)
    }
}
