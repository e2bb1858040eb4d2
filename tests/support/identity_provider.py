"""A real OpenID provider in a process of its own, and a browser that signs in there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
from joserfc.jwk import KeySet, RSAKey

from lockstep.embedded import leash
from tests.support import node_packages

HOME = Path(__file__).parents[1] / "peers" / "oidc"
CLIENT = "lockstep"
SECRET = "a secret: with $igns + blanks/100%25"
CLIENT_KEY = RSAKey.generate_key(2048, {"kid": "ours", "use": "sig"})
_START_S = 60


@dataclass
class IdentityProvider:
    """The provider. ``said`` are its lines: the logout tokens that it would deliver."""

    issuer: str
    process: subprocess.Popen[str]
    said: list[dict[str, Any]] = field(default_factory=list)

    def logout_tokens(self) -> list[str]:
        return [parse_qs(line["body"])["logout_token"][0] for line in self.said if "body" in line]

    def clients_served(self) -> list[tuple[str, str]]:
        """Who was given tokens, and whether the proof stood in a header or in the body."""
        return [
            (line["client"], line["by"])
            for line in self.said
            if line.get("client") and line["status"] == 200
        ]

    async def sign_in(self, browser: httpx.AsyncClient, where: str, who: str) -> str:
        """Fill in the provider's forms from ``where`` on; return where it sends the browser."""
        for _ in range(12):
            answer = await browser.get(where)
            while answer.is_redirect:
                where = str(answer.next_request.url)
                if not where.startswith(self.issuer):
                    return where
                answer = await browser.get(where)
            assert answer.status_code == 200, answer.text
            form = dict(re.findall(r'name="(prompt)" value="(\w+)"', answer.text))
            if form.get("prompt") == "login":
                form |= {"login": who, "password": "any"}
            action = re.search(r'action="([^"]+)" method="post"', answer.text)
            assert action, answer.text
            answer = await browser.post(action[1], data=form)
            assert answer.is_redirect, answer.text
            where = str(answer.next_request.url)
            if not where.startswith(self.issuer):
                return where
        raise AssertionError("the provider asks for ever")

    async def sign_out(self, browser: httpx.AsyncClient, where: str) -> None:
        """Confirm at the provider that one signs out there."""
        page = await browser.get(where)
        action = re.search(r'action="([^"]+)"', page.text)
        xsrf = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert action, page.text
        assert xsrf, page.text
        answer = await browser.post(action[1], data={"xsrf": xsrf[1], "logout": "yes"})
        assert answer.is_redirect, answer.text


@contextlib.contextmanager
def running(*, redirects: list[str], people: Mapping[str, object]) -> Iterator[IdentityProvider]:
    """A provider on a free port of loopback that knows ``people`` by their login."""
    folder = _installed()
    me = (str(os.getpid()), str(int(signal.SIGKILL)), "-1", "-1")
    mode = "exec" if sys.platform == "linux" else "watch"
    node = shutil.which("node")
    assert node
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(leash.__file__), mode, *me, node, "provider.mjs"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={
            **os.environ,
            "REDIRECTS": json.dumps(redirects),
            "PEOPLE": json.dumps(people),
            "CLIENT_SECRET": SECRET,
            "CLIENT_KEYS": json.dumps(KeySet([CLIENT_KEY]).as_dict(private=False)),
        },
    )
    made = IdentityProvider("", process)
    reader = threading.Thread(target=_read, args=(made,), daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + _START_S
        while not made.said:
            assert process.poll() is None, "the provider has ended"
            assert time.monotonic() < deadline, "the provider does not start"
            time.sleep(0.02)
        made.issuer = made.said[0]["issuer"]
        yield made
    finally:
        process.kill()
        process.wait(timeout=60)
        reader.join(5)
        process.stdout.close()


def _read(provider: IdentityProvider) -> None:
    for line in provider.process.stdout:
        if line.startswith("{"):  # others are the provider's own warnings
            provider.said.append(json.loads(line))


def _installed() -> Path:
    """The provider with its locked packages."""
    folder = node_packages.installed("oidc", HOME)
    fresh = folder / f"provider-{os.getpid()}.mjs"
    shutil.copy(HOME / "provider.mjs", fresh)
    fresh.replace(folder / "provider.mjs")  # whole at any time: another test run may read it
    return folder
