//! The HTTP client: its limits, and the cryptography behind `https`.
use std::time::Duration;

use anyhow::{Context, Result};
use ureq::Agent;
use ureq::tls::TlsConfig;

/// Redirects followed before the server is said to go in circles.
const MAX_REDIRECTS: u32 = 5;

/// A client for everything below `base_url`; a connection silent for `silence` counts as cut.
pub fn new(base_url: &str, silence: Duration) -> Result<Agent> {
    let secure = base_url.starts_with("https://");
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .https_only(secure)
        .max_redirects(MAX_REDIRECTS)
        .max_redirects_will_error(true)
        .timeout_connect(Some(silence))
        .timeout_recv_response(Some(silence))
        .timeout_per_read(Some(silence))
        .user_agent(concat!("udas/", env!("CARGO_PKG_VERSION")));
    if secure {
        config = config.tls_config(tls_config().context(
            "this processor lacks instructions that the https client needs: download the files \
             another way into the `archives` folder, then run `cargo xtask data verify`",
        )?);
    }
    Ok(config.build().new_agent())
}

/// TLS by graviola, or `None` where it would panic for want of processor instructions.
#[cfg(target_arch = "x86_64")]
fn tls_config() -> Option<TlsConfig> {
    let supported = is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("adx")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("pclmulqdq");
    supported.then(graviola)
}

/// TLS by graviola, or `None` where it would panic for want of processor instructions.
#[cfg(target_arch = "aarch64")]
fn tls_config() -> Option<TlsConfig> {
    let supported = std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("sha2")
        && std::arch::is_aarch64_feature_detected!("pmull");
    supported.then(graviola)
}

/// No TLS: graviola knows two architectures only.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn tls_config() -> Option<TlsConfig> {
    None
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn graviola() -> TlsConfig {
    let provider = std::sync::Arc::new(rustls_graviola::default_provider());
    TlsConfig::builder().unversioned_rustls_crypto_provider(provider).build()
}
