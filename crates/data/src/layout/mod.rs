//! The layouts a data set can have on disk, one file each.

pub(crate) mod cc359;
pub(crate) mod domain_folders;
pub(crate) mod mnms;
