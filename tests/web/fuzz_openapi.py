"""`python -m tests.web.fuzz_openapi --minutes 10`: the fuzz of the suite, for longer.

Without ``--seed`` every run tries something else; schemathesis prints the seed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

GIVEN = "LOCKSTEP_FUZZ_GIVEN"
"""Environment: a JSON document with ``tokens``, ``secret``, and ``known`` values by name."""
SECONDS = "LOCKSTEP_FUZZ_SECONDS"
SEED = "LOCKSTEP_FUZZ_SEED"
_TEST = Path(__file__).with_name("test_openapi_fuzz.py")


def main() -> int:
    """Run it; 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="repeat a run")
    given = parser.parse_args()
    os.environ[SECONDS] = str(round(given.minutes * 60))
    os.environ[SEED] = "" if given.seed is None else str(given.seed)
    return int(pytest.main(["-q", "-s", "-p", "no:cacheprovider", str(_TEST)]))


if __name__ == "__main__":
    sys.exit(main())
