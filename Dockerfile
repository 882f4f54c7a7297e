FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/keepwell \
 && /opt/keepwell/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r requirements.lock \
 && pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY pipelines pipelines
COPY serving serving
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/keepwell/bin/pip install --no-cache-dir --no-deps --no-index dist/keepwell-*.whl

FROM python:3.13-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 keepwell \
 && install -d -o keepwell -g keepwell /data
COPY --from=build /opt/keepwell /opt/keepwell
ENV PATH=/opt/keepwell/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true
USER keepwell
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=3)"]
CMD ["keepwell", "serve", "--host", "0.0.0.0", "--port", "8000"]
