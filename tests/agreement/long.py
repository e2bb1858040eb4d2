"""The property with many more examples: ``python -m tests.agreement.long --examples 500``.

A failing history is made small before it is shown, which can take some minutes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROFILE = "long"


@dataclass(frozen=True)
class _Profile:
    """A plugin: registers the profile before hypothesis looks for it."""

    examples: int

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        # Not above: pytest wants to see hypothesis before anybody has imported it.
        from hypothesis import settings  # noqa: PLC0415

        settings.register_profile(PROFILE, max_examples=self.examples, print_blob=True)


def main() -> int:
    """Run it; the exit code is pytest's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None, help="the same seed, the same histories")
    given = parser.parse_args()
    seed = [] if given.seed is None else [f"--hypothesis-seed={given.seed}"]
    test = Path(__file__).parent / "test_histories.py"
    options = [
        "-q",
        "--timeout=0",
        f"--hypothesis-profile={PROFILE}",
        "--hypothesis-show-statistics",
    ]
    return pytest.main([str(test), *options, *seed], plugins=[_Profile(given.examples)])


if __name__ == "__main__":
    sys.exit(main())
