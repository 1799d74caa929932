#!/usr/bin/env bash
# Builds the static binary and puts together the root of the image in DIRECTORY: what the Dockerfile copies into an
# image from scratch, and what the tests run in an empty chroot.
# usage: image.sh DIRECTORY [TARGET]     TARGET: a target of Rust's; this machine's by default
#
# REVISION is what the metrics tell as the commit that it is built from; the checkout's by default.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: tools/image.sh DIRECTORY [TARGET]" >&2; exit 2; }
mkdir -p "$1"
root=$(cd "$1" && pwd)
[ "$root" != / ] || { echo "image: error: / is the root of this machine; name a directory of its own" >&2; exit 2; }
cd "$(dirname "$0")/.."

say() { printf '%s\n' "image: $*" >&2; }
die() { printf '%s\n' "image: error: $*" >&2; exit 1; }

name=signalr-private-link-operator
REVISION=${REVISION:-$(git describe --always --exclude '*' --abbrev=40 --dirty 2>/dev/null || echo unknown)}
export REVISION
# The allocator's C code holds the date on which it was built, unless it is told another one.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}
target=${2:-$(rustc -vV | sed -n 's/^host: //p')}
[[ $target == *-linux-* ]] || die "$target is no target of Linux; the image is for Linux only"
roots=""
for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if [ -s "$file" ]; then roots=$file; break; fi
done
[ -n "$roots" ] || die "no bundle of CA certificates is found; install the package ca-certificates, or set SSL_CERT_FILE"

# The C library is linked in, and a target is named, for cargo would otherwise build its macros in the same way, which cannot work.
# Random numbers come from the kernel's call: without it a static binary looks for /dev/urandom. No path of this machine gets into the
# binary.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
RUSTFLAGS="-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\" --remap-path-prefix=$PWD=/src --remap-path-prefix=$cargo_home=/cargo" \
CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_INCREMENTAL=0 \
    cargo build --locked --release --target "$target" --target-dir target/image --bin "$name" >&2

rm -rf "$root/etc" "${root:?}/$name"
install -D -m 0755 "target/image/$target/release/$name" "$root/$name"
install -D -m 0644 "$roots" "$root/etc/ssl/certs/ca-certificates.crt"
install -m 0644 LICENSE "$root/LICENSE"
printf 'nonroot:x:65532:65532::/:/sbin/nologin\n' >"$root/etc/passwd"
printf 'nonroot:x:65532:\n' >"$root/etc/group"
# Two builds of one commit can be compared.
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
size=$(tar --sort=name --owner=0 --group=0 --numeric-owner -C "$root" -cf - . | gzip -9n | wc -c)
say "$root: $(stat -c %s "$root/$name") bytes of binary for $target; the whole is $size bytes compressed"
