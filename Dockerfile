# syntax=docker/dockerfile:1
# The static binary and the CA certificates, in an image from scratch. tools/image.sh builds and assembles both, here and in the tests.
# For another platform the binary is cross-built: no emulation is needed.
FROM --platform=$BUILDPLATFORM rust:1.95-trixie AS build
ARG BUILDARCH
ARG TARGETARCH=$BUILDARCH
ARG SOURCE_DATE_EPOCH=0
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates cmake \
        $( [ "$TARGETARCH" = "$BUILDARCH" ] || case "$TARGETARCH" in amd64) echo g++-x86-64-linux-gnu ;; arm64) echo g++-aarch64-linux-gnu ;; esac ) \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock rustfmt.toml clippy.toml LICENSE ./
COPY crates crates
COPY src src
COPY tests tests
COPY tools/image.sh tools/image.sh
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# The build context has no history: whoever builds tells the commit.
ARG REVISION=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target,id=target-$TARGETARCH \
    case "$TARGETARCH" in \
        amd64) target=x86_64-unknown-linux-gnu ;; \
        arm64) target=aarch64-unknown-linux-gnu ;; \
        *) echo "error: no image is built for $TARGETARCH; amd64 and arm64 are supported" >&2; exit 1 ;; \
    esac \
    && rustup target add "$target" \
    && tools/image.sh /image "$target"

FROM scratch
COPY --from=build /image/ /
# A number: with runAsNonRoot the kubelet cannot tell that a name is not root.
USER 65532:65532
ENTRYPOINT ["/signalr-private-link-operator"]
CMD ["run"]
