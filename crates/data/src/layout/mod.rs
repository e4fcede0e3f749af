//! The layouts a data set can have on disk, one file each.

pub(crate) mod bids;
pub(crate) mod cc359;
pub(crate) mod domain_folders;
pub(crate) mod mnms;
pub(crate) mod nnunet_raw;

use crate::Subject;

/// What a layout makes of a folder: subjects, and remarks for the user.
pub(crate) type Found = (Vec<Subject>, Vec<String>);
