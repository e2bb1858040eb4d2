#!/bin/sh
# Brings Temporal's two databases to this release's schema. May run any number of times: setup keeps
# what is newer, update applies what is missing. The databases are made by deploy/postgres.
set -eu

: "${SQL_HOST:?}" "${SQL_PORT:?}" "${SQL_USER:?}" "${SQL_PASSWORD_FILE:?}"
SQL_PASSWORD=$(cat "$SQL_PASSWORD_FILE")
SQL_PLUGIN=postgres12
export SQL_HOST SQL_PORT SQL_USER SQL_PASSWORD SQL_PLUGIN

schemas=${TEMPORAL_SCHEMAS:-/etc/temporal/schema/postgresql/v12}
for pair in temporal:temporal temporal_visibility:visibility; do
  database=${pair%%:*}
  versions=$schemas/${pair##*:}/versioned
  temporal-sql-tool --db "$database" setup-schema -v 0.0
  temporal-sql-tool --db "$database" update-schema -d "$versions"
done
