//! The kinds of networks that model files may hold.
use candle_core::Device;
use std::sync::{PoisonError, RwLock};
use udas_network::{EarlyHead, Family, Network};
use udas_nn::{Result, StateDict};
use udas_unet::ResidualUNet;

/// The families that are always known, a line each; the first is what `udas train` makes unless told otherwise.
const STOCK: [&dyn Family; 1] = [&ResidualUNet];

/// Those that a program has added.
static ADDED: RwLock<Vec<&'static dyn Family>> = RwLock::new(Vec::new());

/// All known families, the default first.
pub fn families() -> Vec<&'static dyn Family> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    STOCK.into_iter().chain(added.iter().copied()).collect()
}

/// Lets files of another family be read from now on. A name or a mark that is known already stays with the family
/// that has it.
pub fn register(family: &'static dyn Family) {
    ADDED.write().unwrap_or_else(PoisonError::into_inner).push(family);
}

/// The family of that name.
pub fn family(name: &str) -> Option<&'static dyn Family> {
    families().into_iter().find(|family| family.name() == name)
}

/// Entries by which networks and early heads are known in files of other makers, whatever lies around them.
pub fn marks() -> Vec<&'static str> {
    let networks = families().into_iter().map(Family::mark);
    networks.chain([EarlyHead::MARK]).collect()
}

/// Whether a state dict is of a known family.
pub(crate) fn is_known(state: &StateDict) -> bool {
    families().iter().any(|family| family.recognises(state))
}

/// The network with these weights. What no family recognises is measured against the default one, whose error says
/// what is missing.
pub(crate) fn network_of(state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
    let known = families();
    let family = known.iter().find(|family| family.recognises(state)).unwrap_or(&known[0]);
    family.build(state, device)
}
