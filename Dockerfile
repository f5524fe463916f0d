# The server of one model:
#   docker build -t underdog .
#   docker run -p 8000:8000 -v ./runs:/runs -e UNDERDOG_SERVER_KEY=secret underdog /runs/demo-…
FROM python:3.12-slim AS build
COPY . /source
# --build-arg TORCH_INDEX=… takes torch from PyTorch's own index of CPU builds: elsewhere it may bring gigabytes of CUDA.
ARG TORCH_INDEX
RUN python -m venv /opt/underdog \
 && /opt/underdog/bin/pip install --no-cache-dir "$(grep '^torch==' /source/constraints.txt)" ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
 && /opt/underdog/bin/pip install --no-cache-dir -c /source/constraints.txt "/source[serve,cpu,structure,http,gguf]"

FROM python:3.12-slim
RUN useradd --create-home underdog && apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/underdog /opt/underdog
USER underdog
EXPOSE 8000
STOPSIGNAL SIGINT
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=3)"]
# Inside a container the loopback reaches nobody: keys are what keeps others out.
ENTRYPOINT ["/opt/underdog/bin/underdog", "serve", "--host", "0.0.0.0"]
