//! A data set on disk: recognised by its content, divided into domains of subjects.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::files::composed;
use crate::layout::{bids, cc359, domain_folders, mnms, nnunet_raw};
use crate::{Error, Result, Subject};

/// How a data set is laid out on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `DOMAIN/images/NAME.nii.gz` and `DOMAIN/masks/NAME.nii.gz`, from above or inside a domain.
    DomainFolders,
    /// Calgary-Campinas-359 file names, in the published tree or any other, or flat.
    Cc359,
    /// The M&Ms tree with its CSV.
    Mnms,
    /// A BIDS tree: `sub-NAME/anat`, masks below `derivatives`.
    Bids,
    /// nnU-Net's raw data: `imagesTr` and `labelsTr`.
    NnunetRaw,
}

/// The subjects found under a folder.
#[derive(Debug, Clone)]
pub struct DataSet {
    root: PathBuf,
    layout: Layout,
    /// In order of domain and id.
    subjects: Vec<Subject>,
    notes: Vec<String>,
}

impl DataSet {
    /// Opens a folder, its layout recognised by its content. Only names are read, no volumes.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_as(root, Self::recognise(root)?)
    }

    /// Opens a folder in the given layout.
    pub fn open_as(root: &Path, layout: Layout) -> Result<Self> {
        let (subjects, notes) = match layout {
            Layout::DomainFolders => domain_folders::find(root)?,
            Layout::Cc359 => cc359::find(root)?,
            Layout::Mnms => mnms::find(root)?,
            Layout::Bids => bids::find(root)?,
            Layout::NnunetRaw => nnunet_raw::find(root)?,
        };
        if subjects.is_empty() {
            return Err(Error::empty(root));
        }
        let subjects = crate::subject::sorted(subjects)?;
        Ok(Self { root: root.into(), layout, subjects, notes })
    }

    fn recognise(root: &Path) -> Result<Layout> {
        if crate::files::entries(root)?.is_empty() {
            return Err(Error::empty(root));
        }
        if mnms::table(root)?.is_some() {
            Ok(Layout::Mnms)
        } else if domain_folders::is_here(root)? || domain_folders::is_one(root) {
            Ok(Layout::DomainFolders)
        } else if bids::is_here(root)? {
            Ok(Layout::Bids)
        } else if nnunet_raw::is_here(root)? {
            Ok(Layout::NnunetRaw)
        } else if cc359::is_here(root)? {
            Ok(Layout::Cc359)
        } else {
            Err(Error::Unrecognised { root: root.into() })
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How it is laid out.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What the user should know about files that were passed over.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The names of the domains, sorted.
    pub fn domains(&self) -> Vec<String> {
        let names: BTreeSet<_> = self.subjects.iter().map(|subject| &subject.domain).collect();
        names.into_iter().cloned().collect()
    }

    /// The subjects of a domain, in order of their ids. An unknown domain is an error that lists those
    /// that exist.
    pub fn subjects(&self, domain: &str) -> Result<Vec<Subject>> {
        // An accent may be a letter of its own in either name.
        let named = composed(domain);
        let is_of = |subject: &&Subject| composed(&subject.domain) == named;
        let subjects: Vec<_> = self.subjects.iter().filter(is_of).cloned().collect();
        if subjects.is_empty() {
            return Err(Error::UnknownDomain {
                root: self.root.clone(),
                name: domain.to_owned(),
                existing: self.domains(),
            });
        }
        Ok(subjects)
    }

    /// Where the mask of an image is looked for, in words.
    pub(crate) fn expected_mask(subject: &Subject) -> String {
        let name = udas_volume::stem(&subject.image);
        match subject.image.parent().filter(|folder| folder.ends_with("images")) {
            Some(folder) => {
                folder.with_file_name("masks").join(name + ".nii.gz").display().to_string()
            }
            None if cc359::Name::parse(&name).is_some() => format!("a file {name}_ss.nii.gz"),
            None => format!("a file {name}_gt.nii.gz beside it"),
        }
    }
}
