# One target per service, over shared layers: generator, oracle, trainer, client (the SDK with its command line, without
# torch), and oracle-dft (the oracle with GPAW).
#   docker build --target oracle -t xenolith-oracle .
# Build arguments:
#   PYTHON_IMAGE   the base image, by exact tag; PYTHON_DIGEST (sha256:...) holds it to one digest as well:
#                  docker buildx imagetools inspect python:3.11.14-slim-bookworm
#   TORCH_INDEX    package index for PyTorch; the default leaves the CUDA libraries out. For a GPU:
#                  --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130. Empty: only PyPI and wheels/.
#   ORACLE_EXTRAS  extras of the oracle's image: "oracle", or "oracle,mace" for the MACE calculators as well.
#   ORACLE_ENVIRONMENTS  environments of calculators whose libraries clash with those: "sevennet" for SevenNet-l3i5.
# A wheel of PyTorch found in wheels/ is used instead of any index.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
ARG PYTHON_DIGEST=
FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS runtime
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN groupadd --gid 10001 xenolith \
    && useradd --uid 10001 --gid xenolith --home-dir /home/xenolith --create-home xenolith \
    && install -d -o xenolith -g xenolith /runs /reports /state
WORKDIR /opt/xenolith

# What installs, and is in no image that does not.
FROM runtime AS base
ENV UV_NO_CACHE=1 \
    UV_INDEX_STRATEGY=unsafe-best-match
COPY constraints.txt ./
RUN python -m venv /opt/venv \
    && pip install --no-cache-dir --disable-pip-version-check "$(grep ^uv== constraints.txt)"
COPY pyproject.toml ./

# The sources as any user may read them, whatever umask they were checked out under.
FROM base AS sources
COPY LICENSE README.md /sources/
COPY bundles /sources/bundles
COPY xenolith /sources/xenolith
COPY generator_svc /sources/generator_svc
COPY oracle_svc /sources/oracle_svc
COPY trainer_svc /sources/trainer_svc
RUN chmod -R a+rX /sources

# The SDK and its command line, without torch.
FROM base AS client-packages
RUN uv pip install --python /opt/venv --compile-bytecode -c constraints.txt -r pyproject.toml --extra cli --extra observability

# What every service stands on.
FROM client-packages AS torch
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=bind,source=wheels,target=/wheels \
    if ls /wheels/torch-*.whl >/dev/null 2>&1; then TORCH_INDEX=; fi; \
    uv pip install --python /opt/venv --compile-bytecode -c constraints.txt --find-links /wheels \
    ${TORCH_INDEX:+--index "$TORCH_INDEX"} torch

FROM torch AS generator-packages
RUN --mount=type=bind,source=wheels,target=/wheels \
    uv pip install --python /opt/venv --compile-bytecode -c constraints.txt --find-links /wheels \
    -r pyproject.toml --extra generator

FROM torch AS oracle-packages
ARG ORACLE_EXTRAS=oracle
RUN --mount=type=bind,source=wheels,target=/wheels \
    uv pip install --python /opt/venv --compile-bytecode -c constraints.txt --find-links /wheels \
    -r pyproject.toml $(printf -- ' --extra %s' $(echo "$ORACLE_EXTRAS" | tr , ' '))

FROM generator-packages AS trainer-packages
RUN --mount=type=bind,source=wheels,target=/wheels \
    uv pip install --python /opt/venv --compile-bytecode -c constraints.txt --find-links /wheels \
    -r pyproject.toml --extra trainer

# The client's, at half the size: without the tests of libraries, and without what pymatgen and ASE name for plots and
# algebra that nothing here does. Bytecode of what each command imports.
FROM client-packages AS client-environment
COPY --from=sources /sources/LICENSE /sources/README.md ./
COPY --from=sources /sources/xenolith xenolith
RUN uv pip install --python /opt/venv --no-deps . \
    && uv pip uninstall --python /opt/venv \
    contourpy cycler fonttools joblib kiwisolver matplotlib mpmath narwhals pillow plotly sympy pip uv \
    && find /opt/venv -depth -type d \( -name tests -o -name test -o -name __pycache__ \) -exec rm -rf {} + \
    && cd /opt/venv/lib/python3*/site-packages && python -m compileall -q \
    xenolith numpy google grpc grpc_health grpc_status rich structlog pydantic gemmi spglib monty

FROM runtime AS client
COPY --from=client-environment /opt/venv /opt/venv
USER xenolith
ENTRYPOINT ["xenolith"]
CMD ["--help"]

FROM generator-packages AS generator
COPY --from=sources /sources/bundles bundles
COPY --from=sources /sources/LICENSE /sources/README.md ./
COPY --from=sources /sources/xenolith xenolith
COPY --from=sources /sources/generator_svc generator_svc
RUN uv pip install --python /opt/venv --compile-bytecode --no-deps .
USER xenolith
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "xenolith.serving.healthcheck", "127.0.0.1:50051"]
CMD ["python", "-m", "generator_svc", "--host", "0.0.0.0", "--port", "50051"]

FROM oracle-packages AS oracle
COPY --from=sources /sources/bundles bundles
COPY --from=sources /sources/LICENSE /sources/README.md ./
COPY --from=sources /sources/xenolith xenolith
COPY --from=sources /sources/oracle_svc oracle_svc
RUN uv pip install --python /opt/venv --compile-bytecode --no-deps .
ARG ORACLE_ENVIRONMENTS=
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV XENOLITH_ENVIRONMENTS=/opt/environments
RUN --mount=type=bind,source=wheels,target=/wheels \
    if ls /wheels/torch-*.whl >/dev/null 2>&1; then TORCH_INDEX=; fi; \
    for name in $(echo "$ORACLE_ENVIRONMENTS" | tr , ' '); do \
    TORCH_INDEX=$TORCH_INDEX PIP_FIND_LINKS=/wheels python -m oracle_svc.environments make "$name" || exit 1; done
USER xenolith
EXPOSE 50052
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "xenolith.serving.healthcheck", "127.0.0.1:50052"]
CMD ["python", "-m", "oracle_svc", "--host", "0.0.0.0", "--port", "50052"]

# GPAW without MPI, BLAS and libxc, built with a compiler that stays behind (docs/dft.md).
FROM base AS gpaw
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends g++ \
    $(test -f "$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || echo python3-dev)
RUN printf 'mpi = False\ncompiler = "g++"\nnoblas = True\nnolibxc = True\nlibraries = []\n' >siteconfig.py \
    && GPAW_CONFIG=$PWD/siteconfig.py pip wheel --no-cache-dir --no-deps --wheel-dir /gpaw gpaw==26.7.0

FROM oracle AS oracle-dft
USER root
COPY constraints.txt ./
RUN --mount=type=bind,from=gpaw,source=/gpaw,target=/gpaw \
    uv pip install --python /opt/venv --compile-bytecode -c constraints.txt --find-links /gpaw \
    gpaw==26.7.0 gpaw-data==1.2.1
USER xenolith

# The trainer takes denoiser and sampler from generator_svc, so that both sides compute the same log-probabilities.
FROM trainer-packages AS trainer
COPY --from=sources /sources/LICENSE /sources/README.md ./
COPY --from=sources /sources/xenolith xenolith
COPY --from=sources /sources/generator_svc generator_svc
COPY --from=sources /sources/trainer_svc trainer_svc
RUN uv pip install --python /opt/venv --compile-bytecode --no-deps .
USER xenolith
EXPOSE 50053
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "xenolith.serving.healthcheck", "127.0.0.1:50053"]
CMD ["python", "-m", "trainer_svc", "--host", "0.0.0.0", "--port", "50053"]
