#!/bin/sh
# Makes the virtual environment: Python 3.11 or newer, hash-locked dependencies, this package.
set -eu
venv=$1

find_python() {
  for name in python3.13 python3.12 python3.11 python3; do
    if command -v "$name" >/dev/null 2>&1 &&
      "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2])' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "Lockstep needs Python 3.11 or newer; none was found on PATH." >&2
  exit 1
}

python=$(find_python)
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  # Debian and Ubuntu keep this part of Python in a package of its own.
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing $package, which this Python lacks"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package"
  else
    echo "This Python cannot make virtual environments: sudo apt install $package" >&2
    exit 1
  fi
fi

echo "Setting up $venv (a minute or two the first time)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
  -r locks/dev.txt 2>"$venv/install.log" || { cat "$venv/install.log" >&2; exit 1; }
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
  --no-build-isolation --editable . 2>>"$venv/install.log" || { cat "$venv/install.log" >&2; exit 1; }
