//! What plain cargo has to be told of a library that Python loads; maturin knows it by itself.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
