//! The overlays that go into a page.
use crate::{Case, Picture, Result};

/// Overlays of cases, encoded as PNG; nothing of the volumes is kept.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    drawn: Vec<(Case, EncodedPicture)>,
}

/// A picture as it is embedded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EncodedPicture {
    pub width: usize,
    pub height: usize,
    pub png: Vec<u8>,
    pub description: String,
}

impl Pictures {
    /// Adds the picture of a case; a later one replaces an earlier one.
    ///
    /// # Errors
    /// [`crate::Error::Picture`] where it cannot be encoded.
    pub fn insert(&mut self, case: Case, picture: &Picture) -> Result<()> {
        let encoded = EncodedPicture {
            width: picture.width(),
            height: picture.height(),
            png: picture.png()?,
            description: picture.description().to_owned(),
        };
        self.drawn.retain(|(drawn, _)| !drawn.is_same(&case));
        self.drawn.push((case, encoded));
        Ok(())
    }

    pub(crate) fn get(&self, case: &Case) -> Option<&EncodedPicture> {
        self.drawn.iter().find(|(drawn, _)| drawn.is_same(case)).map(|(_, picture)| picture)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Case, EncodedPicture)> {
        self.drawn.iter()
    }
}
