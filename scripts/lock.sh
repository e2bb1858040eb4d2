#!/bin/sh
# Writes the hashed locks: every platform, no registry address, no release younger than a week.
set -eu
command -v uv >/dev/null 2>&1 || { echo "install uv first: pip install uv" >&2; exit 1; }
week_ago=$(python3 -c 'import datetime as d; print(d.date.today() - d.timedelta(days=7))')
compile() {
  uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --exclude-newer "$week_ago" "$@"
}
compile --extra embedded --extra peers --extra dev --extra build -o locks/dev.txt
compile --extra build -c locks/dev.txt -o locks/runtime.txt
