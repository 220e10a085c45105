# flock's image: agent, plugin, flockctl and BIRD, with the libraries that BIRD needs, and nothing else: no shell, no
# package manager, no distribution. `make image` builds it.
#
# The programs of flock's own come out of bin/, where `make build` leaves them. They are static, so the image has the very
# files that were tested, and no Rust toolchain has to be pulled to make it.
#
# BASE: Debian 12 or later, from which BIRD is taken. `make image` hands one that it has made from Debian's packages;
# the default is for builds without it, `docker build .`.
ARG BASE=docker.io/library/debian:12.11-slim

FROM ${BASE} AS programs
ENV DEBIAN_FRONTEND=noninteractive
# policy-rc.d: nothing that is installed may start on the machine that builds.
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 0755 /usr/sbin/policy-rc.d \
    && apt-get --quiet=2 -o Acquire::Retries=3 update \
    && apt-get --quiet=2 -o Acquire::Retries=3 install --yes --no-install-recommends bird2
COPY scripts/image-closure /usr/local/bin/
RUN image-closure /image /usr/sbin/bird /usr/sbin/birdc
COPY --chmod=0755 bin/flock-agent bin/flockctl bin/flock /image/usr/bin/
# Runtimes name network namespaces /var/run/netns/...; the node's /run/netns is mounted.
RUN mkdir -p /image/var && ln -s ../run /image/var/run && mkdir /image/run

FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.title="flock" \
      org.opencontainers.image.description="Kubernetes CNI plugin and per-node agent for clusters whose nodes speak BGP" \
      org.opencontainers.image.source="https://github.com/fritzlab/flock" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=programs /image /
# One arena: the agent works on few things at once, and every further one keeps some memory to itself.
ENV PATH=/usr/sbin:/usr/bin GLIBC_TUNABLES=glibc.malloc.arena_max=1
ENTRYPOINT ["/usr/bin/flock-agent"]
