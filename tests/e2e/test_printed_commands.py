"""Every command that README and docs print is typed as printed, in the order printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from lockstep.cli.runtime.stand_ins import usual_ports
from tests.e2e.printed import NOT_RUN, PAGES, ROOT, Printed, commands_of
from tests.e2e.vendors import DIRECTORY, SYSTEMS
from tests.support.children import child
from tests.support.homes import server_home
from tests.support.ports import free_port
from tests.support.ready import ready

pytestmark = pytest.mark.e2e

ORDER = ("README", "operations", "evidence", "console", "privacy", "api")
UP = "lockstep up --sandbox"
SOON = datetime.now(UTC).date() + timedelta(days=14)
LEAVERS = f"worker_id,kind,zone,last_working_day,emails\nW-2,voluntary,Asia/Manila,{SOON},x@y.ph\n"
# What fails here fails for a good reason, and says it; everything else ends with 0.
REFUSED = {
    "lockstep subject erase": (1, "are needed until it has closed"),
    "lockstep system retry": (1, "because of a fault of the system"),
    "lockstep retry": (1, "failed again: Nobody was found there"),
}
# Before a page's first command: what the page takes for granted.
_LEFT = "lockstep terminate --worker {} --email {}@example.com --access-ends-at {} --partner {}"
GRANTED = {
    "operations": _LEFT.format("W-3", "carlo", "now", "northwind"),
    "evidence": _LEFT.format("W-4", "dina", "2026-08-03T18:00:00+08:00", "northwind"),
    "privacy": _LEFT.format("W-10442", "elias", "now", "contoso"),
}

# What starts servers is the installed program; commands after it are loaded once for all.
_LOCKSTEP = f"""#!/bin/sh
[ "$1" = up ] && exec {shlex.quote(str(Path(sys.executable).with_name("lockstep")))} "$@"
exec {{}} "$@"
"""


@dataclass
class Reader:
    """Somebody with a shell in an empty folder, who puts in what the pages leave open."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        programs = Path(sys.executable).parent
        path = f"{self.home / 'shims'}:{programs}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "COLUMNS": "160", **self.variables}

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command], cwd=self.home, env=self.environment, check=False,
            input="y\n", capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    def data(self, command: str) -> list[dict[str, object]]:
        return json.loads(self.shell(command).stdout)

    def put_in(self, command: str) -> str:
        """The command with this home's names for the page's."""
        if found := re.search(r"<id>|\bCASE\b|cabcdefghjkm", command):
            cases = self.data("lockstep cases --json")
            if found[0] == "cabcdefghjkm":  # one of the page's quarter
                cases = [each for each in cases if str(each["cutoff_at"]).startswith("2026-08")]
            command = command.replace(found[0], str(cases[-1]["case_id"]))
        if "<system>" in command:
            command = command.replace("<system>", self.waiting())
        command = command.replace(f"{DIRECTORY}-prod", SYSTEMS[DIRECTORY])
        for pack in self.home.glob("*.zip") if "evidence export" in command else ():
            pack.rename(pack.with_suffix(".kept"))
        if "PACK.zip" in command:
            [pack, *_] = sorted(self.home.glob("*.zip"))
            key = self.shell("lockstep ledger key").stdout.strip()
            command = re.sub(r"VKEY|'acme/\S+'", f"'{key}'", command.replace("PACK.zip", pack.name))
        if command.endswith("token-end ID"):
            token = self.data("lockstep access tokens --json")[0]
            command = command.replace("ID", str(token["token_id"]))
        return command

    def waiting(self) -> str:
        """A system of the first leaver that waits for a person, once one does."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            *_, case = self.data("lockstep cases --json")
            for system in cast("list[dict[str, str]]", case["systems"]):
                if system["state"] == "needs_person":
                    return system["system"]
            time.sleep(0.5)
        raise AssertionError(f"no system asks a person:\n{self.shell('lockstep stuck').stdout}")

    def types(self, printed: Printed) -> None:
        """One command; what it answers otherwise than it should is kept."""
        command = self.put_in(printed.command)
        assignment = re.match(r"^[A-Z]+=", command)
        done = self.shell(f"{command}; set" if assignment else command)
        if assignment:  # it stays for the next commands of the page
            for name in re.findall(r"\b([A-Z]+)=", printed.command):
                value = re.search(rf"^{name}='(.*)'$", done.stdout, re.MULTILINE)
                self.variables[name] = value[1].replace("'\\''", "'") if value else ""
            return
        self.learn(command, done.stdout)
        code, words = next(
            (told for begin, told in REFUSED.items() if command.startswith(begin)), (0, "")
        )
        if done.returncode != code or words not in done.stdout + done.stderr:
            said = f"{done.stdout}{done.stderr}".strip()[-600:]
            self.faults.append(f"{printed.page}: {command}: {done.returncode}: {said}")

    def learn(self, command: str, said: str) -> None:
        """What the next commands of the page call `$TOKEN` and `$ID`."""
        if "token-new integrator" in command:
            self.variables["TOKEN"] = said.strip().splitlines()[-1]
        if command.endswith("/api/evidence/exports") and (found := re.search(r'"(e\w{12})"', said)):
            self.variables["ID"] = found[1]


@pytest.fixture
def reader() -> Iterator[Reader]:
    """An empty folder, and the files of the reader's own that README speaks of."""
    with server_home() as folder:
        (folder / "leavers.csv").write_text(LEAVERS)
        (folder / "proof.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        shims = folder / "shims"
        shims.mkdir()
        # A refusal of the API is a failure of the command.
        (shims / "curl").write_text('#!/bin/sh\nexec /usr/bin/curl -sS --fail-with-body "$@"\n')
        (shims / "curl").chmod(0o755)
        made = Reader(folder)
        with ready(folder / "ready", made.environment) as loaded:
            (shims / "lockstep").write_text(_LOCKSTEP.format(shlex.join(loaded)))
            (shims / "lockstep").chmod(0o755)
            yield made


def move_ports(settings: Path) -> int:
    """Ports that nobody else has; returns the web's."""
    text = settings.read_text()
    web = free_port()
    for port in (*usual_ports().values(), 7233):
        text = text.replace(str(port), str(free_port()))
    settings.write_text(text.replace("8080", str(web)))
    return web


def pages() -> list[Path]:
    named = {page.stem: page for page in PAGES}
    first = [named[name] for name in ORDER]
    return [*first, *(page for page in PAGES if page not in first)]


def test_every_printed_command_does_what_the_page_says(reader: Reader) -> None:
    """From an empty folder, page after page, each command ends as it should."""
    waiting = [one for page in pages() for one in commands_of(page) if one.command not in NOT_RUN]
    begin = [one.command for one in waiting].index(UP)
    for one in waiting[:begin]:
        reader.types(one)
    reader.variables["LOCKSTEP"] = f"http://127.0.0.1:{move_ports(reader.home / 'lockstep.toml')}"
    with child(
        ["sh", "-c", f"exec {UP}"], cwd=reader.home, env=reader.environment, text=True,
        within_s=1_200, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as up:  # fmt: skip
        said = [up.stdout.readline()]
        while "Lockstep is up" not in said[-1]:
            assert said[-1], "".join(said)
            said.append(up.stdout.readline())
        page = ""
        for one in waiting[begin + 1 :]:
            if one.page != page:
                page = one.page
                if granted := GRANTED.get(Path(page).stem):
                    assert reader.shell(granted).returncode == 0, granted
                if page == "docs/api.md":
                    more_tokens(reader)
            reader.types(one)
        up.terminate()
        up.stdout.read()

    assert not reader.faults, "\n\n".join(reader.faults)


def more_tokens(reader: Reader) -> None:
    """Of HR and of the learning system: the page on the API has them from elsewhere."""
    for name, how in {
        "HR_TOKEN": "hr-script --role hr",
        "LMS_TOKEN": "lms --permission report",
    }.items():
        said = reader.shell(f"lockstep access token-new {how} --every-partner --days 9")
        assert said.returncode == 0, said.stderr
        reader.variables[name] = said.stdout.strip().splitlines()[-1]


def test_what_is_not_run_is_printed_and_has_a_reason() -> None:
    """The list of exceptions holds nothing that no page prints."""
    printed = {one.command for page in PAGES for one in commands_of(page)}

    assert set(NOT_RUN) - printed == set()
    assert all(len(reason) > 10 for reason in NOT_RUN.values())


def test_commands_are_seen_in_every_kind_of_block() -> None:
    """The guard can fail: a new command of a page is one that is run, remark and all."""
    page = ROOT / "docs" / "operations.md"
    shown = [one.command for one in commands_of(page)]

    assert "lockstep score --explain" in shown
    assert "docker compose up -d --build" in shown
    assert [one.command for one in commands_of(ROOT / "README.md")][:2] == [
        "make demo",
        "make test",
    ]
