"""The sandbox over real sockets: keep-alive, dropped connections, restarts, the command line."""

import asyncio
import json
import signal
import subprocess
import sys

import httpx
import pytest

from sandbox import Options, demo_people, generate, running, start_in_thread
from sandbox.__main__ import read_arguments
from sandbox.vendors.okta.description import limited
from tests.support.children import child

OKTA = {"Authorization": "SSWS sandbox-okta-token"}


@pytest.fixture
async def urls():
    async with running(Options(people=demo_people())) as where:
        yield where


async def test_every_answer_is_marked_as_simulated_and_dated(urls):
    async with httpx.AsyncClient() as client:
        for url in urls.values():
            for path in ("/", "/sandbox/state", "/api/v1/users", "/accounts"):
                answer = await client.get(url + path)
                assert answer.headers["X-Simulated"] == "lockstep-sandbox"
                assert answer.headers["Date"].endswith("GMT")


async def test_an_encoded_login_finds_the_user(urls):
    email = demo_people()[0].email
    path = f"{urls['okta']}/api/v1/users/{email.replace('@', '%40')}"
    async with httpx.AsyncClient(headers=OKTA) as client:
        assert (await client.get(path)).json()["profile"]["email"] == email
        assert (await client.delete(f"{path}/sessions")).status_code == 204
        assert (await client.get(path)).status_code == 200


async def test_a_lost_reply_breaks_the_connection_after_the_change(urls):
    email = demo_people()[0].email
    fault = {"kind": "applied_reply_lost", "limit": 1}
    async with httpx.AsyncClient(headers=OKTA) as client:
        await client.post(f"{urls['okta']}/sandbox/faults", json=fault)
        with pytest.raises(httpx.TransportError):
            await client.post(f"{urls['okta']}/api/v1/users/{email}/lifecycle/suspend")
        state = await client.get(f"{urls['okta']}/sandbox/state/{email}")
    assert state.json()["accounts"][0]["standing"]["status"] == "SUSPENDED"


async def test_latency_delays_the_answer_and_keeps_the_order():
    async with running(Options(latency_ms=20)) as urls:
        host, _, port = urls["instant"].removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        line = "GET /accounts?key={} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\n"
        token = "Bearer sandbox-instant-token"
        writer.write("".join(line.format(key, token) for key in ("a", "b")).encode())
        began = asyncio.get_running_loop().time()
        bodies = [await _read_body(reader) for _ in range(2)]
        assert asyncio.get_running_loop().time() - began >= 0.035
        writer.close()
        await writer.wait_closed()
    assert [body["accounts"][0]["id"] for body in bodies] == ["acc-a", "acc-b"]


async def _read_body(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    return json.loads(await reader.readexactly(length))


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, b"431"),
    ],
)
async def test_what_is_no_request_is_refused_and_closed(urls, raw, status):
    host, _, port = urls["okta"].removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(raw)
    assert (await reader.readline()).split(b" ")[1] == status
    writer.close()
    await writer.wait_closed()


async def test_a_request_in_small_pieces_is_put_together(urls):
    host, _, port = urls["kisi"].removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"people":[{"worker_id":"W-9","email":"w9@example.com"}]}'
    head = f"POST /sandbox/seed HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    raw = head.encode() + body
    for place in range(0, len(raw), 7):
        writer.write(raw[place : place + 7])
        await writer.drain()
        await asyncio.sleep(0)
    assert (await _read_body(reader))["seeded"] == {"kisi": 1}
    writer.close()
    await writer.wait_closed()


async def test_state_survives_a_restart(tmp_path):
    options = Options(people=demo_people(), state_file=tmp_path / "deep" / "state.json")
    email = demo_people()[0].email
    async with running(options) as urls, httpx.AsyncClient(headers=OKTA) as client:
        await client.post(f"{urls['okta']}/api/v1/users/{email}/lifecycle/suspend")
        fault = {"kind": "server_error", "limit": 2}
        await client.post(f"{urls['kisi']}/sandbox/faults", json=fault)
        await client.post(
            f"{urls['instant']}/accounts/acc-1/off",
            headers={"Authorization": "Bearer sandbox-instant-token"},
        )
    async with running(options) as urls, httpx.AsyncClient(headers=OKTA) as client:
        state = (await client.get(f"{urls['okta']}/sandbox/state/{email}")).json()["accounts"][0]
        calls = (await client.get(f"{urls['okta']}/sandbox/calls")).json()["calls"]
        faults = (await client.get(f"{urls['kisi']}/sandbox/faults")).json()["faults"]
        off = (await client.get(f"{urls['instant']}/sandbox/state")).json()["off"]
    assert state["standing"]["status"] == "SUSPENDED"
    assert len(state["parts"]["events"]) == len(calls) == 1
    assert (faults[0]["limit"], off) == (2, 1)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state.json"]


async def test_a_change_reaches_the_file_without_a_stop(tmp_path):
    path = tmp_path / "state.json"
    options = Options(people=demo_people(), state_file=path)
    async with running(options) as urls, httpx.AsyncClient(headers=OKTA) as client:
        email = demo_people()[0].email
        await client.post(f"{urls['okta']}/api/v1/users/{email}/lifecycle/suspend")
        async with asyncio.timeout(60):
            while not path.exists():  # noqa: ASYNC110 - a file appears without an event
                await asyncio.sleep(0.02)
        assert '"SUSPENDED"' in path.read_text()


async def test_a_foreign_state_file_is_refused(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"version": 99}')
    with pytest.raises(ValueError, match="version"):
        async with running(Options(state_file=path)):
            pass


def test_it_runs_in_a_thread_for_blocking_callers():
    with start_in_thread(Options(people=generate(3))) as urls:
        found = httpx.get(f"{urls['okta']}/api/v1/users", headers=OKTA).json()
    assert len(found) == 3


def test_a_thread_that_cannot_start_says_why():
    with (
        start_in_thread() as urls,
        pytest.raises(RuntimeError, match="did not start") as caught,
        start_in_thread(Options(ports={"okta": int(urls["okta"].rpartition(":")[2])})),
    ):
        pass
    assert isinstance(caught.value.__cause__, OSError)


def test_the_command_prints_where_it_listens_and_stops_on_a_signal(tmp_path):
    seed = tmp_path / "people.json"
    seed.write_text(json.dumps({"people": [p.as_json() for p in generate(2)]}))
    command = [sys.executable, "-m", "sandbox", "--seed-file", str(seed)]
    with child(command, stdout=subprocess.PIPE, text=True) as process:
        where = json.loads(process.stdout.readline())
        assert len(httpx.get(f"{where['okta']}/api/v1/users", headers=OKTA).json()) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert where["simulated"] is True


def test_arguments_and_environment_become_options(monkeypatch):
    monkeypatch.setenv("SANDBOX_OKTA_TOKEN", "another")
    options = read_arguments(["--demo", "--kisi-port", "4", "--latency-ms", "5"])
    assert options.credentials["okta"]["token"] == "another"
    assert options.credentials["kisi"]["key"] == "sandbox-kisi-key"
    assert (options.ports["kisi"], options.latency_ms, len(list(options.people))) == (4, 5.0, 12)


def test_limited_tokens_come_from_the_environment():
    assert limited("a:roles+factors,b:groups:write") == {
        "a": ("roles", "factors"),
        "b": ("groups:write",),
    }
