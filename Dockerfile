ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
# For the kernel, without which the collector is several times slower. No versions: Debian keeps only
# its latest, and this stage is left behind.
# hadolint ignore=DL3008
RUN apt-get update -q && apt-get install -q -y --no-install-recommends gcc libc6-dev
WORKDIR /src
RUN python -m venv /opt/collector
# The dependencies alone first: they change less often than the code.
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && /opt/collector/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
COPY README.md LICENSE ./
COPY collector collector
RUN /opt/collector/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/collector/bin/python -m compileall -q /opt/collector
# An image without the kernel is a mistake, though the daemon would run. Asked for away from the
# sources, which have none.
WORKDIR /
RUN /opt/collector/bin/python -c "import collector.parsers.shapes.kernel"

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="collector" \
      org.opencontainers.image.description="Syslog collector that normalizes EDR events to ECS" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 collector \
    && useradd --system --uid 10001 --gid collector --home-dir /var/lib/collector --shell /usr/sbin/nologin collector \
    && install -d -o collector -g collector -m 0750 /var/lib/collector
COPY --from=build /opt/collector /opt/collector
COPY config/collector.yaml /etc/collector/collector.yaml
# Nothing is written but to /var/lib/collector: the root file system may be read-only.
ENV PATH=/opt/collector/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    COLLECTOR_CONFIG=/etc/collector/collector.yaml
# By number, so that Kubernetes can tell that it is not root.
USER 10001:10001
WORKDIR /var/lib/collector
VOLUME /var/lib/collector
# 6514 for TLS and 2514 for RELP, where a configuration of one's own has them.
EXPOSE 5514/udp 5514/tcp 5515/tcp 5516/tcp 6514/tcp 2514/tcp 9514/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9514/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["collector"]
CMD ["run"]
