//! PyTorch's zip format (`torch.save` of a flat state dict), read and written.
//!
//! A pickle is a program. Ours runs the few instructions that build dicts, tuples, numbers, text and tensors,
//! and no other: a file that calls anything is refused.
mod file;
mod global;
mod read;
mod unpickle;
mod write;

pub use file::PthFile;
pub(crate) use read::load;
pub(crate) use write::to_bytes;
