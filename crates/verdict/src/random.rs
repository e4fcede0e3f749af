//! Normal numbers from a stream of bits.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// A standard normal number (Box and Muller 1958).
pub fn normal(random: &mut ChaCha8Rng) -> f32 {
    let mut uniform = || (random.next_u32() >> 8) as f32 / (1 << 24) as f32;
    let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
    radius * (std::f32::consts::TAU * uniform()).cos()
}
