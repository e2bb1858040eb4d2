"""The channel to directories: TLS that is checked, answers that are bounded, searches that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.ldap import ber, filters, messages
from connectors.kit.ldap.channel import Found, LdapDialect, LdapServer, Query, Session
from connectors.kit.ldap.instants import filetime, generalized
from connectors.kit.ldap.messages import Entry
from connectors.kit.ldap.places import CA_FILE, PASSWORD, TLS, place_of
from connectors.kit.options import read_options
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.anchors.peers import Authority
from tests.connectors.ldap.slapd import ROOT, ROOT_PASSWORD, Slapd
from tests.support.homes import server_home

DIALECT = LdapDialect("directory")
QUERY = Query("people.list", "", filters.present("objectClass"), ("cn",))
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def secured() -> Iterator[tuple[Slapd, Path]]:
    """A server with a certificate, and the folder of authorities."""
    with server_home() as folder:
        for name in ("ours", "theirs"):
            (Path(folder) / name).mkdir()
        ours = Authority.make(Path(folder) / "ours")
        Authority.make(Path(folder) / "theirs")
        ours.server()
        certificate = Path(folder) / "ours" / "localhost.pem"
        made = Slapd(Path(folder) / "s", certificate=certificate, authority=ours.ca)
        made.prepare()
        with made.running():
            yield made, Path(folder)


def server_at(address: str, name: str = "", **settings: object) -> LdapServer:
    given = ConnectorOptions("any", settings, {"password": ROOT_PASSWORD})
    values = read_options((TLS, CA_FILE, PASSWORD), given, kind="directory")
    place = place_of(values, address, ROOT, name=name)
    return LdapServer(DIALECT, place.connect, timeout=timedelta(seconds=3))


async def fault_of(server: LdapServer) -> ConnectorFault:
    with pytest.raises(ConnectorFault) as caught:
        async with server.opened(Transcript()) as opened:
            await opened.all(QUERY)
    return caught.value


@pytest.mark.parametrize("way", ["ldaps", "starttls"])
async def test_the_certificate_is_checked_before_the_password_is_said(
    secured: tuple[Slapd, Path], way: str
) -> None:
    """Our authority and the right name let us in; another of either, and nobody is spoken to."""
    slapd, folder = secured
    address = f"127.0.0.1:{slapd.tls_port if way == 'ldaps' else slapd.port}"
    ours, theirs = (str(folder / each / "root.pem") for each in ("ours", "theirs"))
    transcript = Transcript()
    async with server_at(address, tls=way, ca_file=ours).opened(transcript) as opened:
        assert await opened.who_am_i() == f"dn:{ROOT}"
    mistrusted = await fault_of(server_at(address, tls=way, ca_file=theirs))
    misnamed = await fault_of(server_at(address, "ldap.example.com", tls=way, ca_file=ours))

    assert {mistrusted.category, misnamed.category} == {FaultCategory.UNREACHABLE}
    assert ROOT not in repr(transcript)


@asynccontextmanager
async def peer(handle: Handler) -> AsyncIterator[str]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", FaultCategory.UNEXPECTED_ANSWER),
        (b"\x30\x84\x7f\xff\xff\xff", FaultCategory.UNEXPECTED_ANSWER),
        (b"\x30\x80", FaultCategory.UNEXPECTED_ANSWER),
        (messages.message(7, ber.several(tag=0x61)), FaultCategory.UNEXPECTED_ANSWER),
        (b"", FaultCategory.UNREACHABLE),
    ],
)
async def test_what_is_no_directory_is_said_to_be_none(
    answer: bytes, category: FaultCategory
) -> None:
    """A proxy's page, a length without end, an answer to another question, a closed door."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with peer(handle) as address:
        assert (await fault_of(server_at(address, tls="off"))).category is category


async def test_what_comes_before_tls_is_not_believed() -> None:
    """Whoever slips an answer in before TLS is not the server that the certificate names."""
    yes = ber.several(ber.number(0, ber.ENUMERATED), ber.octets(""), ber.octets(""), tag=0x78)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        bound = ber.several(ber.number(0, ber.ENUMERATED), ber.octets(""), ber.octets(""), tag=0x61)
        writer.write(messages.message(1, yes) + messages.message(2, bound))
        await writer.drain()
        await reader.read()
        writer.close()

    async with peer(handle) as address:
        fault = await fault_of(server_at(address, tls="starttls"))
    assert fault.category is FaultCategory.UNEXPECTED_ANSWER


async def test_silence_ends_in_time() -> None:
    """A server that takes the connection and says nothing is a timeout, not a wait."""

    async def hush(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with peer(hush) as address:
        assert (await fault_of(server_at(address, tls="off"))).category is FaultCategory.TIMEOUT


class Pages:
    """A session that answers every question with the same page."""

    def __init__(self, page: Found) -> None:
        self.page = page

    async def search(self, query: Query, cookie: bytes = b"") -> Found:
        del query, cookie
        return self.page

    async def change(self, edits: object) -> None:
        del edits

    async def who_am_i(self) -> str:
        return ""

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("page", "query", "code"),
    [
        (Found((Entry("cn=a", {}),), b"1"), QUERY, "page_repeats"),
        (Found((Entry("cn=a", {}), Entry("cn=b", {}))), replace(QUERY, most=1), "too_many_entries"),
        (Found((), elsewhere=1), QUERY, "referral"),
    ],
)
async def test_a_search_that_is_not_whole_is_a_fault(page: Found, query: Query, code: str) -> None:
    """A page that repeats, more entries than anybody has, a part that another server holds."""

    async def connect() -> Session:
        return Pages(page)

    async with LdapServer(DIALECT, connect).opened(Transcript()) as opened:
        with pytest.raises(ConnectorFault) as caught:
            await opened.all(query)
    assert caught.value.code == code


@given(some.binary(max_size=60))
def test_no_bytes_are_more_than_wrong(answer: bytes) -> None:
    """Whatever a server sends is an answer, or is refused as none."""
    for read in (messages.read, messages.entry, lambda told: messages.done(told, told)):
        try:
            read(answer)
        except ValueError:
            continue


@given(some.integers(-(2**40), 2**40), some.binary(max_size=400))
def test_what_is_written_can_be_read(number: int, value: bytes) -> None:
    """Numbers of either sign, and strings longer than one byte can count."""
    [(_, content)] = ber.elements(ber.several(ber.number(number), ber.octets(value)))
    (_, told), (_, held) = ber.elements(content)
    assert (ber.whole(told), held) == (number, value)


@pytest.mark.parametrize("text", ["", "0", "never", str(2**63 - 1), "9" * 30, "20261399000000Z"])
def test_an_instant_that_is_none_is_not_known(text: str) -> None:
    """Neither nothing nor never is an instant."""
    assert filetime(text) is None
    assert generalized(text) is None
