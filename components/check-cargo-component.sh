#!/bin/sh
# Builds the components with `cargo component`, which people use besides plain cargo.
# Where the tool is missing, nothing has been checked, and this says so.
set -eu
cd "$(dirname "$0")"

if ! cargo component --version >/dev/null 2>&1; then
    echo "NOT RUN: cargo-component is not installed (cargo install cargo-component)"
    exit 0
fi

# A directory of its own: the target differs from that of plain cargo, and so would every fingerprint.
cargo component build --release --target-dir target/cargo-component
for component in hello echo chat sender websocket_echo fetch guests message_guests original; do
    built="target/cargo-component/wasm32-wasip1/release/$component.wasm"
    # A component begins with this version; a core module does not.
    version=$(od -An -tx1 -j4 -N4 "$built" | tr -d ' ')
    if [ "$version" != 0d000100 ]; then
        echo "FAILED: $built is not a component"
        exit 1
    fi
    echo "OK: $built"
done
