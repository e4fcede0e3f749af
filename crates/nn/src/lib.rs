//! Layers, custom operations, optimiser and checkpoints for channels-last networks on candle.
#![forbid(unsafe_code)]
