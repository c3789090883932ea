# The slim image has the C compiler that aws-lc needs.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo install --locked --path crates/countersign --root /out && install --directory --mode 0700 /out/data

# The C library of the image above and CAs, for services behind the gateway that speak https; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/bin/countersign /usr/local/bin/countersign
# `nonroot`, by its number, so that it can be seen not to be root.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
EXPOSE 8443
# It drains; what was begun has so long to end as the configuration says.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/countersign"]
CMD ["up", "--data-dir", "/data", "--https-addr", "0.0.0.0:8443"]
