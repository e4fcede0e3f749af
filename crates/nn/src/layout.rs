//! How a feature map is stored: channels last, `[N, H, W, C]`, contiguous. This is the only place
//! that converts; images and logits at a network's ends are `[N, C, H, W]`.
use candle_core::{Result, Tensor};

/// `[N, C, H, W]` to `[N, H, W, C]`; free for one channel.
///
/// # Errors
/// When `image` has not four axes.
pub fn to_channels_last(image: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = image.dims4()?;
    if c == 1 { image.reshape((n, h, w, c)) } else { image.permute((0, 2, 3, 1))?.contiguous() }
}

/// `[N, H, W, C]` to `[N, C, H, W]`; free for one channel.
///
/// # Errors
/// When `map` has not four axes.
pub fn to_channels_first(map: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = map.dims4()?;
    if c == 1 { map.reshape((n, c, h, w)) } else { map.permute((0, 3, 1, 2))?.contiguous() }
}
