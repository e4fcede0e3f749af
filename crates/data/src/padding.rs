//! Padding slices to a common size with edge values, and cutting the padding off again.
#![expect(
    clippy::indexing_slicing,
    reason = "a window lies within the padded slice by `Padding::window`"
)]

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A larger multiple than any network needs would make slices of mostly padding.
const MAX_MULTIPLE: usize = 512;

/// To which common height and width the slices of a set are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Each slice to a square, then to the set's largest square rounded up to `multiple` (CC-359, where
    /// `multiple` is 1).
    Square {
        /// Both sides are a multiple of this.
        multiple: usize,
    },
    /// To the set's largest height and largest width, each rounded up to `multiple` (M&Ms, where
    /// `multiple` is 8).
    Rectangle {
        /// Both sides are multiples of this.
        multiple: usize,
    },
}

/// Where a slice lies in its padded form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows above it.
    pub top: usize,
    /// Columns to its left.
    pub left: usize,
    /// Its own height.
    pub height: usize,
    /// Its own width.
    pub width: usize,
}

impl Padding {
    /// An error where the multiple has no meaning.
    pub fn check(&self) -> Result<()> {
        match *self {
            Self::Square { multiple: 1..=MAX_MULTIPLE }
            | Self::Rectangle { multiple: 1..=MAX_MULTIPLE } => Ok(()),
            Self::Square { multiple } | Self::Rectangle { multiple } => Err(Error::Setting(
                format!("padding to a multiple of {multiple}: give 1 to {MAX_MULTIPLE}"),
            )),
        }
    }

    /// The same, to sides that a network takes whose own must be multiples of `[height, width]`.
    #[must_use]
    pub fn in_multiples_of(self, network: [usize; 2]) -> Self {
        let common = |a: usize, b: usize| {
            let mut multiples = (1..=b.max(1)).map(|times| times * a.max(1));
            multiples.find(|multiple| multiple % b.max(1) == 0).unwrap_or(a)
        };
        let both = |multiple| network.into_iter().fold(multiple, common);
        match self {
            Self::Square { multiple } => Self::Square { multiple: both(multiple) },
            Self::Rectangle { multiple } => Self::Rectangle { multiple: both(multiple) },
        }
    }

    /// The common `[height, width]` for slices of these sizes.
    pub fn size(&self, sizes: impl IntoIterator<Item = [usize; 2]>) -> [usize; 2] {
        let largest =
            |[h, w]: [usize; 2], [height, width]: [usize; 2]| [h.max(height), w.max(width)];
        let [height, width] = sizes.into_iter().fold([1, 1], largest);
        let up = |n: usize, multiple: usize| n.next_multiple_of(multiple.max(1));
        match *self {
            Self::Square { multiple } => [up(height.max(width), multiple); 2],
            Self::Rectangle { multiple } => [up(height, multiple), up(width, multiple)],
        }
    }

    /// Where a slice of size `[height, width]` lies in one padded to `to`; the smaller half of an odd
    /// difference goes before it.
    pub fn window(&self, [height, width]: [usize; 2], to: [usize; 2]) -> Window {
        // Two steps, halved one by one as the published loader does.
        let square = match self {
            Self::Square { .. } => [height.max(width); 2],
            Self::Rectangle { .. } => [height, width],
        };
        let before =
            |n: usize, square: usize, to: usize| (square - n) / 2 + to.saturating_sub(square) / 2;
        let top = before(height, square[0], to[0]);
        let left = before(width, square[1], to[1]);
        Window { top, left, height, width }
    }
}

impl Window {
    /// The slice padded to `[height, width]` by repeating its edges; `slice` has this window's size.
    pub(crate) fn pad<T: Copy>(&self, slice: &[T], [height, width]: [usize; 2]) -> Vec<T> {
        let mut padded = Vec::with_capacity(height * width);
        for row in 0..height {
            let row = row.saturating_sub(self.top).min(self.height - 1);
            let row = &slice[row * self.width..][..self.width];
            padded.extend(std::iter::repeat_n(row[0], self.left));
            padded.extend_from_slice(row);
            let right = width - self.left - self.width;
            padded.extend(std::iter::repeat_n(row[self.width - 1], right));
        }
        padded
    }

    /// The slice without its padding, appended to `out`; `padded` is `width` wide.
    pub(crate) fn crop<T: Copy>(&self, padded: &[T], width: usize, out: &mut Vec<T>) {
        for row in padded.chunks_exact(width).skip(self.top).take(self.height) {
            out.extend_from_slice(&row[self.left..self.left + self.width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn squares_are_padded_in_two_steps() {
        let padding = Padding::Square { multiple: 1 };
        // 11 to 14 puts 1 before, 14 to 17 puts 1 more; one step of 6 would put 3.
        assert_eq!(
            padding.window([14, 11], [17, 17]),
            Window { top: 1, left: 2, height: 14, width: 11 }
        );
        assert_eq!(padding.size([[14, 11], [10, 17]]), [17, 17]);
        assert_eq!(Padding::Square { multiple: 8 }.size([[14, 11], [10, 17]]), [24, 24]);
        assert_eq!(Padding::Rectangle { multiple: 8 }.size([[14, 11], [10, 17]]), [16, 24]);
        assert_eq!(padding.in_multiples_of([8, 8]), Padding::Square { multiple: 8 });
        assert_eq!(
            Padding::Rectangle { multiple: 8 }.in_multiples_of([4, 12]),
            Padding::Rectangle { multiple: 24 }
        );
    }

    #[test]
    fn edges_are_repeated() {
        let window = Padding::Rectangle { multiple: 4 }.window([2, 3], [4, 4]);
        let padded = window.pad(&[1, 2, 3, 4, 5, 6], [4, 4]);
        assert_eq!(padded, [1, 2, 3, 3, 1, 2, 3, 3, 4, 5, 6, 6, 4, 5, 6, 6]);
    }

    proptest! {
        #[test]
        fn cropping_undoes_padding(
            size in prop::array::uniform2(1usize..9),
            other in prop::array::uniform2(1usize..9),
            multiple in 1usize..5,
            square in any::<bool>(),
        ) {
            let padding = if square { Padding::Square { multiple } } else { Padding::Rectangle { multiple } };
            let to = padding.size([size, other]);
            let slice: Vec<usize> = (0..size[0] * size[1]).collect();
            let window = padding.window(size, to);
            let padded = window.pad(&slice, to);
            prop_assert_eq!(padded.len(), to[0] * to[1]);
            let mut back = Vec::new();
            window.crop(&padded, to[1], &mut back);
            prop_assert_eq!(back, slice);
        }
    }
}
