# One image for each service, all from one build:
#
#   docker build --target order --build-arg VERSION="$VERSION" --build-arg REVISION="$(git rev-parse HEAD)" .
#
# Base images are pinned by version. To pin the very bytes, append the digest that
# `docker buildx imagetools inspect IMAGE` prints: `FROM rust:1.95.0-slim-bookworm@sha256:…`. What is
# pinned so gets no fixes by itself any more, so let a bot raise it.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown

FROM rust:1.95.0-slim-bookworm AS rust
WORKDIR /src

# The workspace with no code in it: manifests, the lock file and empty crates.
FROM rust AS skeleton
COPY . .
RUN find . -type f ! -name 'Cargo.*' ! -path '*/src/lib.rs' ! -path '*/src/main.rs' -delete \
 && find . -name lib.rs -exec truncate --size 0 {} + \
 && for main in services/*/src/main.rs seawall/src/main.rs; do echo 'fn main() {}' >"$main"; done \
 && find . -type d -empty -delete

FROM rust AS build
# Static binaries, so that the final images need no C library. With an explicit target this leaves out
# macros and build scripts, which can't be static.
ENV RUSTFLAGS="-C target-feature=+crt-static"
ENV CARGO_BUILD="cargo build --locked --release --workspace --exclude seawall --features image/s3,commander/kubernetes"
# The dependencies, a layer of their own: the skeleton changes with a manifest or the lock file only, so a
# change of our code finds this layer done.
COPY --from=skeleton /src .
RUN $CARGO_BUILD --target "$(rustc --print host-tuple)"
# Our code, built once for all images. Cargo goes by times, and the empty crates may be newer than the code.
COPY . .
ARG VERSION
ARG REVISION
RUN find libs services seawall -name '*.rs' -exec touch {} + \
 && export SEAWALL_VERSION="$VERSION" SEAWALL_REVISION="$REVISION" \
 && $CARGO_BUILD --target "$(rustc --print host-tuple)" \
 && mkdir /dist /pictures \
 && find "target/$(rustc --print host-tuple)/release" -maxdepth 1 -type f -executable -exec cp -t /dist {} +

# No shell, no package manager, nothing to write to.
FROM gcr.io/distroless/static-debian12:nonroot AS service
ARG VERSION
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT"
COPY LICENSE /
USER 65532:65532
ENV OPS_LISTEN=0.0.0.0:9091
EXPOSE 9091

FROM service AS gateway
LABEL org.opencontainers.image.title="seawall-gateway" \
      org.opencontainers.image.description="The front door: routing, limits, retries"
COPY --from=build /dist/gateway /
ENV LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/gateway", "healthcheck"]
ENTRYPOINT ["/gateway"]

FROM service AS order
LABEL org.opencontainers.image.title="seawall-order" \
      org.opencontainers.image.description="Orders and their outbox"
COPY --from=build /dist/order /
ENV LISTEN=0.0.0.0:5000
EXPOSE 5000
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/order", "healthcheck"]
ENTRYPOINT ["/order"]

FROM service AS inventory
LABEL org.opencontainers.image.title="seawall-inventory" \
      org.opencontainers.image.description="Products, stock and reservations"
COPY --from=build /dist/inventory /
ENV LISTEN=0.0.0.0:5001
EXPOSE 5001
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/inventory", "healthcheck"]
ENTRYPOINT ["/inventory"]

FROM service AS notification
LABEL org.opencontainers.image.title="seawall-notification" \
      org.opencontainers.image.description="Mails, one per event"
COPY --from=build /dist/notification /
ENV LISTEN=0.0.0.0:5002
EXPOSE 5002
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/notification", "healthcheck"]
ENTRYPOINT ["/notification"]

FROM service AS auth
LABEL org.opencontainers.image.title="seawall-auth" \
      org.opencontainers.image.description="Accounts, sessions, signing keys"
COPY --from=build /dist/auth /
ENV LISTEN=0.0.0.0:5003
EXPOSE 5003
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/auth", "healthcheck"]
ENTRYPOINT ["/auth"]

FROM service AS image
LABEL org.opencontainers.image.title="seawall-image" \
      org.opencontainers.image.description="Pictures and their renditions"
COPY --from=build /dist/image /
# A new volume belongs to whom its folder does.
COPY --from=build --chown=65532:65532 /pictures /pictures
ENV LISTEN=0.0.0.0:5004
ENV IMAGE_STORE_URL=file:///pictures
EXPOSE 5004
VOLUME /pictures
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/image", "healthcheck"]
ENTRYPOINT ["/image"]

FROM service AS commander
LABEL org.opencontainers.image.title="seawall-commander" \
      org.opencontainers.image.description="Sees the platform, breaks it on purpose, keeps the journal"
COPY --from=build /dist/commander /
ENV LISTEN=0.0.0.0:5006
EXPOSE 5006
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/commander", "healthcheck"]
ENTRYPOINT ["/commander"]

FROM service AS worker
LABEL org.opencontainers.image.title="seawall-worker" \
      org.opencontainers.image.description="Background jobs and cron"
COPY --from=build /dist/worker /
ENV LISTEN=0.0.0.0:5005
EXPOSE 5005
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/worker", "healthcheck"]
ENTRYPOINT ["/worker"]
