# The slim image has the C compiler that aws-lc needs.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo install --locked --path crates/countersign --root /out

FROM debian:bookworm-slim
# CAs, for services behind the gateway that speak https.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin countersign \
    && install --directory --owner countersign --mode 0700 /data
COPY --from=build /out/bin/countersign /usr/local/bin/countersign
USER countersign
VOLUME /data
EXPOSE 8443
ENTRYPOINT ["countersign"]
CMD ["up", "--data-dir", "/data", "--https-addr", "0.0.0.0:8443"]
