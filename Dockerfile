# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock rustfmt.toml clippy.toml ./
COPY crates crates
COPY src src
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin signalr-private-link-operator \
    && cp target/release/signalr-private-link-operator /signalr-private-link-operator

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /signalr-private-link-operator /signalr-private-link-operator
# A number: with runAsNonRoot the kubelet cannot tell that a name is not root.
USER 65532:65532
ENTRYPOINT ["/signalr-private-link-operator"]
CMD ["run"]
