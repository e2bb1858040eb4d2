"""OpenVPN: certificates revoked or names blocked, tunnels ended, each server read back.

A tunnel that is ended without a block is back in seconds: the block is the first write, always.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from connectors.abilities import Place as EachPlace
from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.kit.abilities.gaps import gap
from connectors.kit.finding.listed import found_in
from connectors.kit.finding.searching import Searching
from connectors.kit.lines.files import Files, LocalStore, Store
from connectors.kit.lines.line import Connect, Line, LineServer
from connectors.kit.lines.places import place_of
from connectors.kit.lines.recorded import Recorder, Refusal
from connectors.kit.options import read_options
from connectors.kit.steps import (
    attempt,
    carry_out,
    fault_of,
    in_order,
    parted,
    unread,
    with_actions,
)
from connectors.openvpn import book, checks, management
from connectors.openvpn import options as given_by
from connectors.openvpn.book import Entry
from connectors.openvpn.gateway import FAULTS, Gateway, Signing, at_gateway
from connectors.openvpn.health import examined
from connectors.openvpn.people import match_of, name_of, people_of, place_in
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.abilities import Ability, EnforcedAt, Enforcement
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Match,
    Observation,
    Proof,
    Search,
    Unread,
)
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.faults import FaultCategory

KIND: Final = "openvpn"
READ_BOOK: Final = "index.read"
MARK_BOOK: Final = "index.replace"
READ_CERTIFICATES: Final = "certificates.read"
_BOOK: Final = "index"
"""What stands for the CA's own book among the gateways; no gateway of that name may be given."""

Opener = Callable[[Line], Connect]


class OpenVpnConnector:
    """The servers of one CA.

    Args:
        given: see `connectors.openvpn.options`.
        opener: how a line is opened; replaced in tests.
        store: where files are; replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self,
        given: ConnectorOptions,
        *,
        opener: Opener = lambda line: line.connect,
        store: Store | None = None,
    ) -> None:
        values = read_options(given_by.OPTIONS, given, kind=KIND)
        given_by.checked(values)
        self._system = given.system
        self._values = values
        self._name_is = given_by.KINDS[values[given_by.NAME_IS]]
        self._by_list = values[given_by.REVOKE] == "crl"
        self._ca = given_by.authority(values)
        self._recorder = Recorder(KIND, FAULTS, secrets=values.secrets, timeout=given.timeout)
        self._files = Files(self._recorder, store or LocalStore())
        lasts = timedelta(days=values[given_by.CRL_DAYS])
        signing = Signing(self._ca, given_by.signing_key(values, self._ca), lasts)
        self._gateways = {
            name: self._gateway(name, address, signing, opener, given)
            for name, address in values[given_by.GATEWAYS].items()
        }

    def _gateway(
        self, name: str, address: str, signing: Signing, opener: Opener, given: ConnectorOptions
    ) -> Gateway:
        if name == _BOOK:
            raise ValueError(f"gateways: {_BOOK} stands for the CA's own book")
        values = self._values
        place = place_of(address, ca_file=values[given_by.TLS_CA_FILE])
        line = Line(management.GRAMMAR, place, values[given_by.PASSWORD])
        server = LineServer(
            self._recorder, opener(line), clock=management.GRAMMAR.clock, pace=given.pace
        )
        crl = at_gateway(values[given_by.CRL], name)
        ccd = at_gateway(values[given_by.CCD], name).rstrip("/")
        return Gateway(name, server, self._files, self._recorder, crl, ccd, signing)

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        """Nothing stays open between calls."""

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Read the CA's book, and compare; whoever is connected must stand in it."""
        kinds = {KeyKind.ACCOUNT_ID, self._name_is, KeyKind.EMAIL}
        ids = [Key(KeyKind.ACCOUNT_ID, each) for each in keys.account_ids(self._system)]
        wanted = [key for key in (*ids, *keys.keys) if key.kind in kinds]
        wanted = [key for key in wanted if key.kind is not KeyKind.ACCOUNT_ID or key in ids]
        if not wanted:
            return Location((), ())
        searching = Searching(not_theirs)
        listed = await searching.one(partial(self._everybody, transcript))
        if isinstance(listed, ConnectorFault):
            failed = (Search(key.kind, key.value, Proof.FAILED) for key in wanted)
            return searching.told(Location((), tuple(failed)))
        names = {match.account.locator for match in listed}
        # A book without anybody, or one that does not know who is connected, is not the CA's.
        inside = await searching.one(partial(self._inside, transcript))
        if isinstance(inside, ConnectorFault):
            raise inside
        is_whole = bool(names) and names >= inside
        proof = Proof.LISTED if is_whole else Proof.UNPROVED
        searches = tuple(Search(key.kind, key.value, proof) for key in wanted)
        return Location(found_in(listed, wanted), searches, listed=len(listed))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The account's certificates, and which of them each server lets in."""
        entries = await self._entries(account, transcript)
        standing, missed = await self._doors(entries, transcript)
        kinds = (AccessKind.SESSION, AccessKind.CREDENTIAL)[: 1 + self._by_list]
        rest = (Unread(kind) for kind in kinds)
        return Observation(account.id, bool(entries), standing, unread=(*missed, *rest))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Sign the certificates into the list, or disable the name; once for each file.

        Raises:
            ConnectorFault: at the end, where a server's files could not be read or written.
        """
        if not before.signs_in and not before.unread:
            return ()
        entries = await self._entries(account, transcript)
        standing, missed = await self._doors(entries, transcript)
        steps = []
        for here in self._by_file():
            at = {gateway.name for gateway in here}
            if ways := [way for way in standing if place_in(way) in at]:
                steps.append(partial(self._shut, here[0], entries, ways, transcript))
        actions = await carry_out(*steps)
        if missed:
            raise with_actions(fault_of(missed[0], connector=KIND), actions)
        return actions

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """The book, and each server by itself: its files, and who is connected."""
        entries = await self._entries(account, transcript)
        name = name_of(account, entries)
        doors, missed = await self._doors(entries, transcript)
        looks = await asyncio.gather(
            *(attempt(each.sessions(name, transcript)) for each in self._gateways.values())
        )
        told, faults = parted(looks)
        tunnels = [way for look in told for way in look]
        rows = (*missed, *(unread(AccessKind.SESSION, fault) for fault in faults))
        marks = [
            Access(AccessKind.CREDENTIAL, f"{one.serial:x}@{_BOOK}")
            for one in entries
            if self._by_list and not one.is_revoked
        ]
        standing = (*doors, *tunnels, *marks)
        exists = bool(entries or tunnels)
        return Observation(account.id, exists, standing, unread=tuple(dict.fromkeys(rows)))

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """End the tunnels of every server; then tell the CA's book."""
        held = {kind: [way for way in before.standing if way.kind is kind] for kind in AccessKind}
        if not held[AccessKind.SESSION] and not held[AccessKind.CREDENTIAL]:
            return ()
        entries = await self._entries(account, transcript)
        name = name_of(account, entries)
        tunnels = [
            partial(gateway.end, name, ways, transcript)
            for gateway in self._gateways.values()
            if (ways := [w for w in held[AccessKind.SESSION] if place_in(w) == gateway.name])
        ]
        marks = {way.ref: way for way in held[AccessKind.CREDENTIAL]}
        due = {
            one.serial: marks[ref]
            for one in entries
            if not one.is_revoked and (ref := f"{one.serial:x}@{_BOOK}") in marks
        }
        return await in_order(tunnels, [partial(self._mark, due, transcript)] if due else [])

    async def health(self, transcript: Transcript) -> Health:
        """Reach every line, read every list, and see whether each server looks where we write."""
        listed = await attempt(self._everybody(transcript))
        found = [checks.of_fault(_BOOK, listed)] if isinstance(listed, ConnectorFault) else []
        if self._by_list and not await self._files.can_change(self._values[given_by.INDEX]):
            found.append(checks.not_writable(_BOOK))
        config = self._values[given_by.CONFIG]
        looks = await asyncio.gather(
            *(
                examined(each, at_gateway(config, name), transcript, by_list=self._by_list)
                for name, each in self._gateways.items()
            )
        )
        found += [problem for _, problems in looks for problem in problems]
        return Health(any(reached for reached, _ in looks), tuple(dict.fromkeys(found)))

    async def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Everybody whose certificate a server lets in; connected now is the last use."""
        listed = await attempt(self._book(transcript))
        if isinstance(listed, ConnectorFault):
            yield ActivePage((), ListEnd(0, (gap("accounts", listed),)))
            return
        looks = [
            (await attempt(each.rules(transcript)), await attempt(each.connected(transcript)))
            for each in self._gateways.values()
        ]
        rules, faults = parted(told for told, _ in looks)
        inside, more = parted(told for _, told in looks)
        used = {one.name: one.since for tunnels in inside for one in tunnels}
        gaps = [gap("accounts", fault) for fault in (*faults, *more)]
        people = people_of(listed)
        active = (
            match_of(name, entries, self._name_is)
            for name, entries in people.items()
            if any(each.lets_in(book.live(entries, datetime.now(UTC))) for each in rules)
        )
        shown = (
            ActiveAccount(one.account, one.name, one.created_at, used.get(one.account.locator))
            for one in active
        )
        yield ActivePage(tuple(shown), ListEnd(len(people), tuple(dict.fromkeys(gaps))))

    async def places(self, transcript: Transcript) -> tuple[EachPlace, ...]:  # noqa: ARG002 - settings name them
        """Every server that the settings name."""
        return tuple(map(EachPlace, self._gateways))

    async def read_back_at(
        self, place: EachPlace, account: Account, transcript: Transcript
    ) -> Observation:
        """What one server lets in, and who is connected there."""
        entries = await self._entries(account, transcript)
        gateway, name = self._gateways[place.ref], name_of(account, entries)
        doors = (await gateway.rules(transcript, name=name)).lets_in(entries) if entries else ()
        tunnels = await gateway.sessions(name, transcript)
        return Observation(account.id, bool(entries or tunnels), (*doors, *tunnels))

    async def _book(self, transcript: Transcript) -> tuple[Entry, ...]:
        """Every certificate that the CA has given, as far as its book and its folder say."""
        values = self._values
        raw = await self._files.read(READ_BOOK, values[given_by.INDEX], transcript)
        entries = self._read(READ_BOOK, partial(book.read_book, raw))
        if folder := values[given_by.CERTIFICATES]:
            ends = (".pem", ".crt")
            found = await self._files.read_each(READ_CERTIFICATES, folder, ends, transcript)
            merge = partial(book.with_certificates, entries, found, ca=self._ca)
            entries = self._read(READ_CERTIFICATES, merge)
        return tuple(one for one in entries if one.name and not one.is_server)

    def _read(self, operation: str, work: Callable[[], tuple[Entry, ...]]) -> tuple[Entry, ...]:
        try:
            return work()
        except Refusal as refusal:
            code = refusal.code
        raise self._recorder.fault(operation, code)

    async def _entries(self, account: Account, transcript: Transcript) -> tuple[Entry, ...]:
        """The certificates of one account that have not ended."""
        mine = (one for one in await self._book(transcript) if one.account_id == account.id)
        return book.live(mine, datetime.now(UTC))

    async def _everybody(self, transcript: Transcript) -> list[Match]:
        people = people_of(await self._book(transcript))
        return [match_of(name, entries, self._name_is) for name, entries in people.items()]

    async def _inside(self, transcript: Transcript) -> set[str]:
        """Names of all who are connected, as far as the servers answer.

        Raises:
            ConnectorFault: our password is wrong: nothing could be ended.
        """
        looks = [await attempt(each.connected(transcript)) for each in self._gateways.values()]
        told, faults = parted(looks)
        for fault in faults:
            if fault.category is FaultCategory.CREDENTIALS_REJECTED:
                raise fault
        return {one.name for tunnels in told for one in tunnels}

    async def _doors(
        self, entries: Sequence[Entry], transcript: Transcript
    ) -> tuple[tuple[Access, ...], tuple[Unread, ...]]:
        """Which certificates each server lets in, and what could not be read of that."""
        if not entries:
            return (), ()
        name = entries[0].name
        looks = await asyncio.gather(
            *(attempt(each.rules(transcript, name=name)) for each in self._gateways.values())
        )
        rules, faults = parted(looks)
        doors = [way for each in rules for way in each.lets_in(entries)]
        missed = [unread(AccessKind.SIGN_IN, fault) for fault in faults]
        return tuple(doors), tuple(dict.fromkeys(missed))

    def _by_file(self) -> list[list[Gateway]]:
        """Servers that read the same file: it is written once."""
        files: dict[str, list[Gateway]] = {}
        for gateway in self._gateways.values():
            files.setdefault(gateway.crl if self._by_list else gateway.ccd, []).append(gateway)
        return list(files.values())

    async def _shut(
        self,
        gateway: Gateway,
        entries: Sequence[Entry],
        ways: Sequence[Access],
        transcript: Transcript,
    ) -> tuple[Action, ...]:
        if self._by_list:
            exchange = await gateway.revoke([one.serial for one in entries], transcript)
        else:
            exchange = await gateway.block(entries[0].name, transcript)
        return tuple(Action(way, exchange.answered_at, exchange.operation) for way in ways)

    async def _mark(self, due: Mapping[int, Access], transcript: Transcript) -> tuple[Action, ...]:
        edit = partial(book.marked, serials=set(due), now=datetime.now(UTC))
        index = self._values[given_by.INDEX]
        changed, exchange = await self._files.change(MARK_BOOK, index, edit, transcript)
        ways = due.values() if changed else ()
        return tuple(Action(way, exchange.answered_at, exchange.operation) for way in ways)


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="OpenVPN (community edition)",
    category=Category.VPN,
    build=OpenVpnConnector,
    options=given_by.OPTIONS,
    permissions=(
        "the management line of every server, and its password",
        "revoke = crl: the CA's key, and to replace crl and index.txt in their folders",
        "revoke = ccd: to replace files in client-config-dir, which the server must use",
    ),
    proves=(
        "the list that each server reads is signed by the CA and holds every certificate of the"
        " common name that has not ended, or its client configuration says disable; status 3 of"
        " each server shows no tunnel of the name; with revoke = crl the CA's book says revoked"
    ),
    calls=8,
    abilities={
        Ability.LIST_ACTIVE: (
            "everybody whose certificate a server lets in; the last use is known of tunnels that"
            " stand now"
        ),
        Ability.READ_EACH_PLACE: "every server that the settings name",
    },
    revives_on_unblock=frozenset({AccessKind.SESSION, AccessKind.CREDENTIAL}),
    enforced_at=EnforcedAt(Enforcement.EACH_READ, "every server"),
)
