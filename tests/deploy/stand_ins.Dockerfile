# Programs of Debian in place of images that cannot be pulled; of tests alone (Engine.image).
ARG BASE

FROM ${BASE} AS redis
RUN apt-get update && apt-get install -y --no-install-recommends redis-server \
    && install -d -o 999 -g 1000 /data
WORKDIR /data

FROM ${BASE} AS prometheus
RUN apt-get update && apt-get install -y --no-install-recommends prometheus wget \
    && install -d -o 65534 -g 65534 /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
