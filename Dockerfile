# The worker image: the locked application, the Pulumi CLI, an SSH client; a user without rights; no secret inside.
#
# Every base is named by tag, and by digest as well when its *_DIGEST argument is given (sha256:...). Pin them in the
# pipeline that builds the image:
#   docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON_DIGEST=sha256:... --build-arg UV_DIGEST=... --build-arg PULUMI_DIGEST=... .
ARG PYTHON_VERSION=3.11
ARG PYTHON_DIGEST=
ARG UV_VERSION=0.13.9
ARG UV_DIGEST=
# The same version as in tools/pulumi/go.mod; this image of the vendor adds the language host for Python.
ARG PULUMI_VERSION=3.259.0
ARG PULUMI_DIGEST=

FROM ghcr.io/astral-sh/uv:${UV_VERSION}${UV_DIGEST:+@${UV_DIGEST}} AS uv
FROM pulumi/pulumi-python:${PULUMI_VERSION}${PULUMI_DIGEST:+@${PULUMI_DIGEST}} AS pulumi

FROM python:${PYTHON_VERSION}-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
WORKDIR /opt/holdtrue
# Packages first: this layer stays until the lock file changes.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-default-groups --group worker --no-install-project
COPY README.md LICENSE ./
COPY src src
RUN uv sync --frozen --no-default-groups --group worker

FROM python:${PYTHON_VERSION}-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}}
# tini reaps what a tool leaves behind and passes SIGTERM on to the worker.
RUN apt-get update \
    && apt-get install -y --no-install-recommends openssh-client tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 --shell /usr/sbin/nologin holdtrue
COPY --from=pulumi /pulumi/bin /opt/pulumi/bin
WORKDIR /opt/holdtrue
COPY --from=build /opt/holdtrue /opt/holdtrue
COPY blocks blocks
COPY tasks tasks
COPY flows flows
COPY fleet fleet
COPY prefect.yaml ./
# Each flow run is a new process of a user who cannot write here. By hash, unchecked: a copied file may have another time.
RUN .venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash src blocks tasks flows
# PYTHONPATH reaches child processes that start elsewhere than in WORKDIR.
ENV PATH=/opt/holdtrue/.venv/bin:/opt/pulumi/bin:$PATH \
    PYTHONPATH=/opt/holdtrue:/opt/holdtrue/src \
    PYTHONUNBUFFERED=1 \
    HOLDTRUE_HOME=/opt/holdtrue \
    PULUMI_SKIP_UPDATE_CHECK=true \
    DO_NOT_TRACK=1
USER holdtrue
ENTRYPOINT ["tini", "--"]
# Needs PREFECT_API_URL, and the Vault identity of the worker from its orchestrator: neither belongs in an image.
CMD ["prefect", "worker", "start", "--pool", "holdtrue", "--type", "process", "--with-healthcheck"]
# The first start imports Prefect, which takes seconds on a small machine.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
