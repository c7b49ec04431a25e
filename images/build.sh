#!/bin/sh
# images/build.sh PACKAGE ARCH FILE [CARGO-OPTION…]
# Builds one program as it ships, static, for amd64 or arm64, and puts it at FILE. The Dockerfiles run it, and so does
# `cargo xtask images`: an image built anywhere is built by the same commands.
set -eu
package=$1 arch=$2 file=$3
shift 3
cd "$(dirname "$0")/.."

case $arch in
  amd64) target=x86_64-unknown-linux-musl compiler=musl-gcc ;;
  arm64)
    target=aarch64-unknown-linux-musl compiler=aarch64-linux-gnu-gcc
    # Debian has no cross compiler for musl. Rust brings musl and a linker; only AWS-LC's C needs a compiler.
    export CC_aarch64_unknown_linux_musl="$compiler" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
    ;;
  *) echo "images/build.sh: no image is built for $arch, only for amd64 and arm64" >&2; exit 64 ;;
esac

# musl-gcc compiles for the machine that it runs on.
if [ "$arch" = amd64 ] && [ "$(uname -m)" != x86_64 ]; then
  echo "images/build.sh: amd64 is built on x86_64 only, and this is $(uname -m): build arm64 here" >&2
  exit 1
fi
if ! command -v "$compiler" >/dev/null; then
  echo "images/build.sh: needs $compiler: apt-get install musl-tools gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2
  exit 1
fi
if [ ! -d "$(rustc --print target-libdir --target "$target")" ]; then
  rustup target add "$target"
fi

# One package at a time: a common build unifies features and fattens the programs.
cargo build --release --locked --target "$target" --package "$package" "$@"
install -D -m 755 "${CARGO_TARGET_DIR:-target}/$target/release/$package" "$file"
