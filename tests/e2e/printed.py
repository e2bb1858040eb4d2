"""The commands that README and docs print, as a reader would type them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
_BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a block without a language begins with where it is one of commands.
_PROGRAMS = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(lockstep|make|docker|pip|curl|deploy/\S+\.sh) ")


@dataclass(frozen=True, slots=True)
class Printed:
    """One command of a page; ``text`` is what stands there, remark included."""

    page: str
    text: str

    @property
    def command(self) -> str:
        """Without the remark at its end."""
        return re.sub(r"\s+#\s.*$", "", self.text).removeprefix("$ ")


def commands_of(page: Path) -> Iterator[Printed]:
    """Every command in the page's blocks, in its order; continued lines are one."""
    for language, block in _BLOCK.findall(page.read_text()):
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        is_shell = language in {"sh", "bash", "console"}
        if not is_shell and not (language == "" and lines and _PROGRAMS.match(lines[0])):
            continue
        # Where some lines have a prompt, the others are what was answered.
        for line in [line for line in lines if line.startswith("$ ")] or lines:
            if line.strip() and not line.lstrip().startswith("#"):
                yield Printed(page.relative_to(ROOT).as_posix(), line)


_DOCKER = "needs Docker, which the machine of a test has not; tests/deploy reads the files"
_STATE = (
    "its answer depends on how a case stands at that moment; tests/web/test_api_acts.py asks it"
)
_BRAKE = "needs a large import; tests/cli/systems/test_brake_and_system.py makes one"
_CONNECTOR = "needs a vendor of one's own; tests/cli/systems/test_connector_{}.py has one"
_CONNECT = "needs a system of one's own and its credential; tests/cli/systems/test_connect.py"
NOT_RUN = {
    "lockstep connect okta-prod": _CONNECT,
    "lockstep connect doors --connector kisi --secret api_key=env:KISI_KEY --tier 1": _CONNECT,
    "lockstep connect books-db --connector postgresql_roles --set server=db.example.com:5432 "
    "--set 'standbys=[\"db-2.example.com\"]'": _CONNECT,
    "lockstep connect okta-prod --secret token=-": _CONNECT,
    "lockstep connector check desk --known email=pat@example.com": _CONNECTOR.format("check"),
    "lockstep connector new desk --title Desk": _CONNECTOR.format("new"),
    "make demo": "runs without end; tests/deploy: test_installing.py and test_wheel.py",
    "make test": "it is what runs this",
    "cp .env.example .env": _DOCKER,
    "$EDITOR deploy/lockstep.compose.toml": _DOCKER,
    "docker compose up -d --build": _DOCKER,
    "docker compose exec worker lockstep doctor": _DOCKER,
    "deploy/make-secrets.sh": "writes into the checkout; tests/deploy/test_scripts.py runs it",
    "lockstep access end USER": "needs somebody signed in; tests/cli/people/test_access.py has one",
    'lockstep brake release BRAKE --event 17 --event 18 -r "these two are right"': _BRAKE,
    'lockstep brake release BRAKE -r "confirmed with HR"': _BRAKE,
    'lockstep brake refuse BRAKE -r "test data sent by mistake"': _BRAKE,
    'curl -H "Authorization: Bearer $TOKEN" --json \'{"reason": "the keys were amended", '
    '"seen": "1.0"}\' $LOCKSTEP/api/cases/$CASE/systems/okta-sandbox/retry': _STATE,
    'curl -H "Authorization: Bearer $TOKEN" --json \'{"reason": "payroll needs it", "until": '
    '"2026-11-30T00:00:00Z"}\' $LOCKSTEP/api/cases/$CASE/systems/aws-local/waive': _STATE,
    'curl -OJ -H "Authorization: Bearer $TOKEN" $LOCKSTEP/api/evidence/exports/$ID/file': (
        "the pack is not made yet; tests/control/packs/test_orders.py fetches one"
    ),
}
"""What no test types as it stands, and why."""
