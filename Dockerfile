# The server of one model:
#   docker build -t underdog .
#   docker run -p 8000:8000 -v ./runs:/runs -e UNDERDOG_SERVER_KEY=secret underdog /runs/demo-…
FROM python:3.12-slim AS build
# torch by itself and first: this layer is built again only when the versions change.
# --build-arg TORCH_INDEX=… takes it from PyTorch's own index of CPU builds: elsewhere it may bring gigabytes of CUDA.
ARG TORCH_INDEX
COPY constraints.txt /source/
RUN python -m venv /opt/underdog \
 && /opt/underdog/bin/pip install --no-cache-dir "$(grep '^torch==' /source/constraints.txt)" ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
RUN /opt/underdog/bin/pip install --no-cache-dir -c /source/constraints.txt "/source[serve,cpu,structure,http,gguf,normalize,dialog]"

FROM python:3.12-slim
# The loopback of a container reaches nobody outside: it listens everywhere, and keys are what keeps others out.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 underdog
COPY --from=build /opt/underdog /opt/underdog
USER underdog
EXPOSE 8000
STOPSIGNAL SIGINT
HEALTHCHECK --start-period=60s CMD ["/opt/underdog/bin/python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=3)"]
ENTRYPOINT ["/opt/underdog/bin/underdog", "serve", "--host", "0.0.0.0"]
