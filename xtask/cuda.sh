#!/usr/bin/env bash
# Builds `udas` for NVIDIA GPUs on a machine that has neither a GPU nor NVIDIA's toolkit.
#
#   xtask/cuda.sh FOLDER build     fetches the compiler into FOLDER (2 GB, once) and builds
#                                  FOLDER/target/release/udas; about 15 minutes on two cores
#   xtask/cuda.sh FOLDER check     type-checks the feature `cudnn` only
#   xtask/cuda.sh FOLDER env       prints the variables, for cargo commands of your own
#
# The compiler comes from the wheels that NVIDIA publishes on PyPI; python3 with venv, and g++, must be
# there. CUDA 13.0 runs on drivers from 580 on. CUDA_COMPUTE_CAP says for which GPU (80 A100, 86 RTX 30,
# 89 RTX 40, 90 H100); 80 is the default, later GPUs run it too. On a machine with the toolkit installed
# `cargo build --release --features cudnn` is enough, or `--features cuda` where cuDNN is not installed.
set -euo pipefail
usage() { sed -n '2,13s/^# \{0,1\}//p' "$0"; exit "${1:-2}"; }
[ "${1:-}" = --help ] && usage 0
[ $# -ge 2 ] || usage
mkdir -p "$1"
folder=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)

if [ ! -e "$folder/ready" ]; then
    echo "fetching the CUDA compiler into $folder" >&2
    python3 -m venv "$folder/wheels"
    "$folder/wheels/bin/pip" install --quiet nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 \
        nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 \
        nvidia-cuda-nvrtc==13.0.88 nvidia-curand==10.4.0.35 nvidia-cublas==13.0.2.14 \
        nvidia-cudnn-cu13==9.21.1.3
    ln -sfn "$(echo "$folder"/wheels/lib/python3*/site-packages/nvidia/cu13)" "$folder/cuda"
    ln -sf "$(echo "$folder"/wheels/lib/python3*/site-packages/nvidia/cudnn)"/lib/*.so.* "$folder/cuda/lib/"
    # The linker asks for names without a version, which wheels do not have.
    for library in "$folder"/cuda/lib/*.so.*; do
        ln -sf "$(basename "$library")" "${library%%.so.*}.so"
    done
    ln -sfn lib "$folder/cuda/lib64"
    touch "$folder/ready"
fi

export CUDA_HOME="$folder/cuda" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-80}"
export PATH="$folder/cuda/bin:$PATH" CARGO_TARGET_DIR="$folder/target"
export LIBRARY_PATH="$folder/cuda/lib:$folder/stub" LD_LIBRARY_PATH="$folder/cuda/lib:${LD_LIBRARY_PATH:-}"

# The driver's library is there on machines with a GPU alone: link against its names.
if [ ! -e "$folder/stub/libcuda.so" ]; then
    mkdir -p "$folder/stub"
    grep -ohE '\bcu[A-Z][A-Za-z0-9_]*' "$folder/cuda/include/cuda.h" | sort -u |
        sed 's/.*/void &(void) {}/' >"$folder/stub/cuda.c"
    cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$folder/stub/libcuda.so" "$folder/stub/cuda.c"
fi

cd "$root"
case "$2" in
    build) cargo build --release --features cudnn ;;
    check) cargo check --release --features cudnn --tests ;;
    env)
        for name in CUDA_HOME CUDA_COMPUTE_CAP PATH CARGO_TARGET_DIR LIBRARY_PATH LD_LIBRARY_PATH; do
            printf 'export %s=%q\n' "$name" "${!name}"
        done
        ;;
    *) usage ;;
esac
