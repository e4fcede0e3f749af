//! Shapes of feature maps and kinds of convolution.

/// Shape of a channels-last feature map `[n, h, w, c]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapShape {
    /// Images.
    pub n: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl MapShape {
    /// Values.
    pub fn len(&self) -> usize {
        self.pixels() * self.c
    }

    /// True when there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of all images.
    pub fn pixels(&self) -> usize {
        self.n * self.h * self.w
    }
}

/// Kind of convolution; weights have PyTorch's layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConvKind {
    /// 3x3, zero padding 1; weight `[cout, cin, 3, 3]`.
    K3,
    /// 1x1; weight `[cout, cin, 1, 1]`.
    K1,
    /// 2x2 with stride 2 (an odd last row or column is not read); weight `[cout, cin, 2, 2]`.
    Down2,
    /// Transposed 2x2 with stride 2; weight `[cin, cout, 2, 2]`.
    Up2,
}

impl ConvKind {
    /// Shape of the result.
    pub fn output_shape(self, input: MapShape, cout: usize) -> MapShape {
        let MapShape { n, h, w, .. } = input;
        match self {
            Self::K3 | Self::K1 => MapShape { n, h, w, c: cout },
            Self::Down2 => MapShape { n, h: h / 2, w: w / 2, c: cout },
            Self::Up2 => MapShape { n, h: 2 * h, w: 2 * w, c: cout },
        }
    }

    /// Weights for each pair of channels.
    pub fn taps(self) -> usize {
        match self {
            Self::K3 => 9,
            Self::K1 => 1,
            Self::Down2 | Self::Up2 => 4,
        }
    }
}
