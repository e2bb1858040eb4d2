#!/bin/sh
# Starts the server with its password from a file: it can only read the environment, and what
# stands in docker-compose.yml can be read by `docker inspect`.
set -eu

: "${POSTGRES_PWD_FILE:?}"
POSTGRES_PWD=$(cat "$POSTGRES_PWD_FILE")
export POSTGRES_PWD
exec "${ENTRYPOINT:-/etc/temporal/entrypoint.sh}"
