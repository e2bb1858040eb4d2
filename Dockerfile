# One image for `lockstep migrate`, `worker` and `web`. Everything it installs is pinned by hash.
FROM python:3.11.16-slim-trixie AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/lockstep
ENV PATH=/opt/lockstep/bin:$PATH

WORKDIR /build
COPY locks/runtime.txt locks/
# --no-deps: the lock is complete, and pip that resolves wants releases that it does not know.
RUN pip install --require-hashes --no-deps -r locks/runtime.txt

COPY pyproject.toml README.md ./
COPY lockstep lockstep
COPY workflows workflows
COPY activities activities
COPY connectors connectors
COPY migrations migrations
COPY sandbox sandbox
RUN pip install --no-deps --no-build-isolation . && pip check


FROM python:3.11.16-slim-trixie

# For the ledger's git anchors (docs/anchors.md).
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/*
# Nothing is written outside /var/lib/lockstep and /tmp, so the root file system can be read-only.
RUN groupadd --gid 10001 lockstep \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/lockstep \
        --shell /usr/sbin/nologin lockstep \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/lockstep
COPY --from=build /opt/lockstep /opt/lockstep
ENV PATH=/opt/lockstep/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

USER 10001:10001
WORKDIR /var/lib/lockstep
EXPOSE 8080
# For `lockstep web`; docker-compose.yml says what to do for the others. The image has no curl.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["lockstep"]
CMD ["--help"]
