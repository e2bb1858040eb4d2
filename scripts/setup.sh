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

# What pip says is shown only where it fails: its warnings are about itself, not about Lockstep.
pip_or_stop() {
  problem=$1
  shift
  if ! "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" \
    >"$venv/install.log" 2>&1; then
    cat "$venv/install.log" >&2
    echo "$problem" >&2
    exit 1
  fi
}

echo "Setting up $venv (a minute or two the first time)"
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
# --no-deps: the lock is complete. Were pip to resolve, it would want the newest release of what a
# dependency asks for with an extra, which is one day a release that the lock does not know.
pip_or_stop "The locked packages could not be installed, for the reason above; nothing of ours has run yet." \
  install --require-hashes --no-deps -r locks/dev.txt
pip_or_stop "Lockstep itself could not be installed from this folder." \
  install --no-deps --no-build-isolation --editable .
pip_or_stop "The environment does not fit together: 'make clean' and again makes it anew. If it \
says the same then, locks/dev.txt is incomplete: 'make lock' writes it." check
