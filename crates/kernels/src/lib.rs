//! Convolution, batch norm and up-sampling on slices of f32: scalar specification and SIMD.

