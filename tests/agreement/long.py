"""The property with many more examples: ``python -m tests.agreement.long --examples 500``.

A failing history is made small before it is shown, which can take some minutes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest
from hypothesis import settings

PROFILE = "long"


def main() -> int:
    """Run it; the exit code is pytest's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None, help="the same seed, the same histories")
    given = parser.parse_args()
    settings.register_profile(PROFILE, max_examples=given.examples, print_blob=True)
    seed = [] if given.seed is None else [f"--hypothesis-seed={given.seed}"]
    test = Path(__file__).parent / "test_histories.py"
    options = [
        "-q",
        "--timeout=0",
        f"--hypothesis-profile={PROFILE}",
        "--hypothesis-show-statistics",
    ]
    return pytest.main([str(test), *options, *seed])


if __name__ == "__main__":
    sys.exit(main())
