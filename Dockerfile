# A Postgres with custbackup in it, for the control plane.
#
#   docker build -t custbackup .                                   on the official image of Postgres
#   docker build --build-arg BASE=debian:trixie -t custbackup .    on a bare Debian, which installs its own
#
# Everything else (initdb, users, volumes) is the base image's business. To switch it on:
#   docker run ... custbackup postgres -c shared_preload_libraries=custbackup -c custbackup.database=control \
#                                      -c custbackup.key_file=/run/secrets/custbackup.key
# The key file must be the user postgres' own and 0600, or root's and 0640 with its group: a secret that all may read is refused.
# The same image is the operator's tool: docker run --rm -it custbackup custbackup --help
# For MongoDB add MongoDB's own package mongodb-database-tools, which Debian does not have.

ARG BASE=postgres:17-trixie
FROM ${BASE} AS build
ARG PG_MAJOR=17
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev make pkg-config postgresql-server-dev-${PG_MAJOR} \
        libssl-dev zlib1g-dev libisal-dev libjansson-dev libpq-dev libcurl4-openssl-dev libexpat1-dev libmongoc-dev
COPY . /source
WORKDIR /source
RUN make clean && make -j2 PG_CONFIG=/usr/lib/postgresql/${PG_MAJOR}/bin/pg_config \
 && make install DESTDIR=/out PG_CONFIG=/usr/lib/postgresql/${PG_MAJOR}/bin/pg_config \
 && strip /out/usr/lib/postgresql/${PG_MAJOR}/bin/custbackup /out/usr/lib/postgresql/${PG_MAJOR}/lib/custbackup_mongodb.so

FROM ${BASE}
ARG PG_MAJOR=17
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        postgresql-${PG_MAJOR} postgresql-client-${PG_MAJOR} ca-certificates \
        libisal2 libjansson4 libcurl4t64 libexpat1 libmongoc-1.0-0t64 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out /
RUN ln -sf ../lib/postgresql/${PG_MAJOR}/bin/custbackup /usr/bin/custbackup && custbackup --version \
 && ! ldd /usr/lib/postgresql/${PG_MAJOR}/lib/custbackup*.so | grep 'not found'
