# syntax=docker/dockerfile:1
# Signet in a container: one program, no shell, an ordinary user, a root file system that may be read-only.
#
#   docker build -t signet:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#   docker run --read-only --cap-drop=ALL --security-opt=no-new-privileges --tmpfs=/tmp \
#       -v signet:/var/lib/signet -e SIGNET__ISSUER=https://login.example.com -p 127.0.0.1:8080:8080 signet:0.1.0
#
# Everything that it keeps is below /var/lib/signet. On Postgres that is nothing, once `signet init` was run:
# docker-compose.yml shows it. Base images are named by version; for a build that can be repeated to the byte, add the
# digests that your registry shows.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build

# The crates of others, in a layer of their own: it is built anew only when a manifest or the lock file changes. The
# sources that Cargo wants to see are empty, and what was made of them is dropped again.
COPY Cargo.toml Cargo.lock ./
COPY verifier/Cargo.toml verifier/Cargo.toml
COPY benches/limits/Cargo.toml benches/limits/Cargo.toml
RUN set -eu; \
    mkdir -p src verifier/src benches/limits/src tests/it; \
    for file in src/lib.rs verifier/src/lib.rs tests/it/main.rs; do echo '//! Empty.' >"$file"; done; \
    for file in src/main.rs benches/limits/src/main.rs; do printf '//! Empty.\nfn main() {}\n' >"$file"; done; \
    cargo build --locked --release --package signet; \
    cargo clean --locked --release --package signet --package signet-verify; \
    rm -r src verifier/src

COPY src src
COPY verifier verifier
COPY migrations migrations
RUN set -eu; \
    cargo build --locked --release --package signet; \
    install -D --strip target/release/signet /image/usr/local/bin/signet; \
    install -d -m 0700 /image/var/lib/signet

# glibc, libgcc and the certificate authorities, and nothing that a shell could run.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Signet" \
      org.opencontainers.image.description="A standalone token issuer: rotating keys, a JWKS that other services verify against, no call back." \
      org.opencontainers.image.source="https://github.com/signet/signet" \
      org.opencontainers.image.documentation="https://github.com/signet/signet/blob/main/docs/operations.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=build /image/usr/local/bin/signet /usr/local/bin/signet
COPY --from=build --chown=65532:65532 /image/var/lib/signet /var/lib/signet

# By number, so that an orchestrator can tell that it is not root.
USER 65532:65532
# Relative paths of the settings begin here: data/ and keys/ on the embedded default, signet.toml if there is one.
WORKDIR /var/lib/signet
VOLUME ["/var/lib/signet"]
# Within the container all interfaces are its own; what is published is the operator's choice. Publish 8080 only.
ENV SIGNET__PUBLIC__BIND=0.0.0.0:8080 \
    SIGNET__ADMIN__BIND=0.0.0.0:8081 \
    SIGNET__TELEMETRY__FORMAT=json
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s --retries=3 CMD ["/usr/local/bin/signet", "health"]
ENTRYPOINT ["/usr/local/bin/signet"]
CMD ["serve"]
