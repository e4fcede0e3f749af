#!/bin/sh
# Builds the wheel into target/wheels: the module, and the program for the PATH. Needs `pip install maturin`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cargo build --release
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p "$here/udas.data/scripts"
for program in "$target/release/udas" "$target/release/udas.exe"; do
    if [ -f "$program" ]; then cp "$program" "$here/udas.data/scripts/"; fi
done
maturin build --release --manifest-path "$here/Cargo.toml" --out "$target/wheels" "$@"
rm -r "$here/udas.data"
