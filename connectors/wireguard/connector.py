"""WireGuard: a person's peers are taken out of every interface, and out of its file.

It knows keys and no people: whose a key is, a comment in the file says, or a file of one's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

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
from connectors.kit.steps import attempt, carry_out, fault_of, parted, unread, with_actions
from connectors.wireguard import device, peers
from connectors.wireguard.gateway import (
    Gateway,
    account_id,
    doors,
    key_of,
    nameless,
    not_writable,
    of_fault,
    people_of,
)
from connectors.wireguard.options import (
    CONFIG,
    GATEWAY,
    GATEWAYS,
    KERNEL,
    KINDS,
    NAME_IS,
    NAMES,
    OPTIONS,
    TLS_CA_FILE,
)
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
    Problem,
    Proof,
    Search,
    Unread,
)
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.faults import FaultCategory

T = TypeVar("T")

KIND: Final = "wireguard"
READ_FILE: Final = "peers.read"
WRITE_FILE: Final = "peers.replace"
READ_NAMES: Final = "names.read"
FAULTS: Final = {
    "peer_of_two_names": FaultCategory.MISCONFIGURED,
    "wg_not_installed": FaultCategory.MISCONFIGURED,
    "interface_not_there": FaultCategory.UNREACHABLE,
}
Opener = Callable[[Line | device.Kernel], Connect]


class WireGuardConnector:
    """The interfaces of one network.

    Args:
        given: see `OPTIONS`.
        opener: how an interface is reached; replaced in tests.
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
        values = read_options(OPTIONS, given, kind=KIND)
        self._system = given.system
        self._names = values[NAMES]
        self._name_is = KINDS[values[NAME_IS]]
        self._recorder = Recorder(KIND, FAULTS, timeout=given.timeout)
        self._files = Files(self._recorder, store or LocalStore())
        self._gateways = {}
        for name, address in values[GATEWAYS].items():
            way: Line | device.Kernel
            if address.startswith(KERNEL):
                way = device.Kernel(address.removeprefix(KERNEL))
            else:
                way = Line(device.GRAMMAR, place_of(address, ca_file=values[TLS_CA_FILE]))
            line = LineServer(self._recorder, opener(way), pace=given.pace)
            self._gateways[name] = Gateway(name, line, values[CONFIG].replace(GATEWAY, name))

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        """Nothing stays open between calls."""

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """List every peer of every interface and file, and compare names."""
        kinds = {KeyKind.ACCOUNT_ID, self._name_is}
        ids = [Key(KeyKind.ACCOUNT_ID, each) for each in keys.account_ids(self._system)]
        wanted = [key for key in (*ids, *keys.keys) if key.kind in kinds]
        wanted = [key for key in wanted if key.kind is not KeyKind.ACCOUNT_ID or key in ids]
        if not wanted:
            return Location((), ())
        searching = Searching(not_theirs)
        names = await searching.one(partial(self._named, transcript))
        if isinstance(names, ConnectorFault):
            failed = (Search(key.kind, key.value, Proof.FAILED) for key in wanted)
            return searching.told(Location((), tuple(failed)))
        searches = (partial(each.live, transcript) for each in self._gateways.values())
        live, faults = parted(await searching.each(searches))
        used = {peer.key: peer.used_at for told in live for peer in told}
        # Somebody whom nobody names may be the leaver; so may a peer that was not seen.
        is_whole = (
            not faults and bool(names) and names.keys() >= used.keys() and all(names.values())
        )
        proof = Proof.LISTED if is_whole else Proof.FAILED if faults else Proof.UNPROVED
        people = people_of(names)
        matches = found_in([self._match(name, people[name], used) for name in people], wanted)
        told = tuple(Search(key.kind, key.value, proof) for key in wanted)
        return searching.told(Location(matches, told, listed=len(people)))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The account's peers on every interface."""
        keys = await self._keys(account, transcript)
        live, missed = await self._live(keys, transcript)
        rows = (*missed, Unread(AccessKind.CREDENTIAL))
        return Observation(account.id, bool(keys), live, unread=rows)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Take the peers out of every interface: what they send is dropped from then on.

        Raises:
            ConnectorFault: at the end, where an interface could not be read or changed.
        """
        if not before.signs_in and not before.unread:
            return ()
        keys = await self._keys(account, transcript)
        live, missed = await self._live(keys, transcript)
        steps = [
            partial(gateway.remove, ways, transcript)
            for gateway in self._gateways.values()
            if (ways := [way for way in live if way.ref.rpartition("@")[2] == gateway.name])
        ]
        actions = await carry_out(*steps)
        if missed:
            raise with_actions(fault_of(missed[0], connector=KIND), actions)
        return actions

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Every interface, and every file that would bring a peer back."""
        keys = await self._keys(account, transcript)
        live, missed = await self._live(keys, transcript)
        files, also = await self._in_files(keys, transcript)
        standing, rows = (*live, *files), tuple(dict.fromkeys((*missed, *also)))
        return Observation(account.id, bool(standing), standing, unread=rows)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Take the peers out of the files."""
        due = {way.ref: way for way in before.standing if way.kind is AccessKind.CREDENTIAL}
        if not due:
            return ()
        keys = await self._keys(account, transcript)
        files, missed = await self._in_files(keys, transcript)
        steps = [
            partial(self._take, path, ways, transcript)
            for path in self._paths()
            if (ways := [due.get(w.ref, w) for w in files if w.ref.rpartition("@")[2] == path])
        ]
        actions = await carry_out(*steps)
        if missed:
            raise with_actions(fault_of(missed[0], connector=KIND), actions)
        return actions

    async def health(self, transcript: Transcript) -> Health:
        """Reach every interface, read and be able to replace every file, and miss no name."""
        found: list[Problem] = []
        names = await attempt(self._named(transcript))
        looks = await asyncio.gather(
            *(attempt(each.live(transcript)) for each in self._gateways.values())
        )
        live, faults = parted(looks)
        if isinstance(names, ConnectorFault):
            faults.append(names)
        else:
            keys = {peer.key for told in live for peer in told} | names.keys()
            if strange := [key for key in keys if not names.get(key)]:
                found.append(nameless(len(strange)))
        found += [of_fault(each) for each in faults]
        for path in self._paths():
            if not await self._files.can_change(path):
                found.append(not_writable(path))
        return Health(bool(live), tuple(dict.fromkeys(found)))

    async def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Everybody with a peer on an interface; the last handshake is the last use."""
        names = await attempt(self._named(transcript))
        if isinstance(names, ConnectorFault):
            yield ActivePage((), ListEnd(0, (gap("accounts", names),)))
            return
        looks = [await attempt(each.live(transcript)) for each in self._gateways.values()]
        live, faults = parted(looks)
        used = {peer.key: peer.used_at for told in live for peer in told}
        shown = []
        for name, keys in people_of(names).items():
            if any(key in used for key in keys):
                match = self._match(name, keys, used)
                shown.append(ActiveAccount(match.account, last_used_at=match.last_used_at))
        gaps = [gap("accounts", fault) for fault in faults]
        if any(not names.get(key) for key in used):
            gaps.append(gap("accounts", self._recorder.fault(READ_NAMES, "peer_without_a_name")))
        yield ActivePage(tuple(shown), ListEnd(len({*names, *used}), tuple(dict.fromkeys(gaps))))

    async def places(self, transcript: Transcript) -> tuple[EachPlace, ...]:  # noqa: ARG002 - settings name them
        """Every interface that the settings name."""
        return tuple(map(EachPlace, self._gateways))

    async def read_back_at(
        self, place: EachPlace, account: Account, transcript: Transcript
    ) -> Observation:
        """What one interface lets in."""
        keys = await self._keys(account, transcript)
        live = await self._gateways[place.ref].live(transcript)
        standing = doors(live, keys, place.ref)
        return Observation(account.id, bool(standing), standing)

    def _paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.config for each in self._gateways.values()))

    def _match(self, name: str, keys: Collection[str], used: Mapping[str, object]) -> Match:
        account = Account(account_id(name), " ".join(sorted(keys)), (Key(self._name_is, name),))
        times = [at for key in keys if isinstance(at := used.get(key), datetime)]
        return Match(account, KeyKind.ACCOUNT_ID, last_used_at=max(times, default=None))

    async def _in_file(self, path: str, transcript: Transcript) -> tuple[peers.FilePeer, ...]:
        raw = await self._files.read(READ_FILE, path, transcript)
        return self._read(READ_FILE, partial(peers.read_file, raw))

    async def _named(self, transcript: Transcript) -> Mapping[str, str]:
        """Whose each key is that a file holds; "" where nothing says so."""
        told: dict[str, str] = {}
        for path in self._paths():
            for peer in await self._in_file(path, transcript):
                known = told.get(peer.key, "")
                if known and peer.name and known != peer.name:
                    raise self._recorder.fault(READ_FILE, "peer_of_two_names")
                told[peer.key] = known or peer.name
        if not self._names:
            return told
        raw = await self._files.read(READ_NAMES, self._names, transcript)
        return {**told, **self._read(READ_NAMES, partial(peers.read_names, raw))}

    def _read(self, operation: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except Refusal as refusal:
            code = refusal.code
        raise self._recorder.fault(operation, code)

    async def _keys(self, account: Account, transcript: Transcript) -> frozenset[str]:
        """Keys that were the account's when it was found, and those that are named so now."""
        names = await self._named(transcript)
        now = {key for key, name in names.items() if name and account_id(name) == account.id}
        # A key of before that is somebody else's by now is not touched.
        held = {key for key in account.locator.split() if not names.get(key)}
        return frozenset(now | held)

    async def _live(
        self, keys: Collection[str], transcript: Transcript
    ) -> tuple[tuple[Access, ...], tuple[Unread, ...]]:
        looks = await asyncio.gather(
            *(attempt(self._doors_at(each, keys, transcript)) for each in self._gateways.values())
        )
        return _told(looks, AccessKind.SIGN_IN)

    @staticmethod
    async def _doors_at(
        gateway: Gateway, keys: Collection[str], transcript: Transcript
    ) -> tuple[Access, ...]:
        return doors(await gateway.live(transcript), keys, gateway.name)

    async def _in_files(
        self, keys: Collection[str], transcript: Transcript
    ) -> tuple[tuple[Access, ...], tuple[Unread, ...]]:
        looks = [await attempt(self._held_in(path, keys, transcript)) for path in self._paths()]
        return _told(looks, AccessKind.CREDENTIAL)

    async def _held_in(
        self, path: str, keys: Collection[str], transcript: Transcript
    ) -> tuple[Access, ...]:
        held = dict.fromkeys(peer.key for peer in await self._in_file(path, transcript))
        return tuple(Access(AccessKind.CREDENTIAL, f"{key}@{path}") for key in held if key in keys)

    async def _take(
        self, path: str, ways: Collection[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        edit = partial(peers.without, keys={key_of(way) for way in ways})
        changed, exchange = await self._files.change(WRITE_FILE, path, edit, transcript)
        done = ways if changed else ()
        return tuple(Action(way, exchange.answered_at, exchange.operation) for way in done)


def _told(
    looks: Iterable[tuple[Access, ...] | ConnectorFault], kind: AccessKind
) -> tuple[tuple[Access, ...], tuple[Unread, ...]]:
    told, faults = parted(looks)
    ways = tuple(way for each in told for way in each)
    return ways, tuple(dict.fromkeys(unread(kind, fault) for fault in faults))


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="WireGuard",
    category=Category.VPN,
    build=WireGuardConnector,
    options=OPTIONS,
    permissions=(
        "each interface's socket (root), or CAP_NET_ADMIN for wg:",
        "to replace each interface's file in its folder",
    ),
    proves=(
        "no interface has a peer with a key of the person, by its own answer, and no file from"
        " which one is set up names such a key"
    ),
    calls=9,
    abilities={
        Ability.LIST_ACTIVE: (
            "everybody with a peer on an interface; the last use is the last handshake, which an"
            " interface forgets when it is set up anew"
        ),
        Ability.READ_EACH_PLACE: "every interface that the settings name",
    },
    revives_on_unblock=frozenset({AccessKind.CREDENTIAL}),
    enforced_at=EnforcedAt(Enforcement.EACH_READ, "every interface"),
)
