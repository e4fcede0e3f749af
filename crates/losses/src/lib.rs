//! Segmentation losses on candle tensors, stable at extreme logits.
#![forbid(unsafe_code)]
