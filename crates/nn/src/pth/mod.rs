//! PyTorch's zip format, `torch.save` of a state dict: read by our own reader, which calls nothing and
//! allocates no more than the file holds, and written so that `torch.load(..., weights_only=True)` reads it.
mod pickle;
mod read;
mod write;

pub(crate) use read::load;
pub(crate) use write::to_bytes;
