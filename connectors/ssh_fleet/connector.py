"""A fleet of hosts by SSH: accounts locked, sessions ended, keys out of every file, certificates.

Each host is closed and read back by itself; one that does not answer is not proved, and is named.
Nothing of the person's files is deleted but the lines with keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

import asyncssh

from connectors.abilities import Place
from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.kit.abilities.gaps import gap
from connectors.kit.databases.accounts import actions
from connectors.kit.databases.addresses import kinds_of
from connectors.kit.finding.listed import found_in
from connectors.kit.finding.searching import Searching
from connectors.kit.options import Values, read_options
from connectors.kit.residuals import Outlives, shown
from connectors.kit.steps import Step, attempt, first_of, in_order, unread
from connectors.ssh_fleet import rows as told
from connectors.ssh_fleet.channel import KIND, RULE, Ask, Host, Login, Request, Rows
from connectors.ssh_fleet.options import (
    AT_ONCE,
    CERTIFICATE_S,
    GECOS_HOLDS,
    HOSTS,
    KNOWN_HOSTS,
    NAME,
    NAME_IS,
    OPTIONS,
    PEOPLES_KEYS,
    PRIVATE_KEY,
    USER,
    Address,
    Reread,
    hosts_in,
    keys_in,
)
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.abilities import Ability, EnforcedAt, Enforcement
from lockstep.domain.systems.access import (
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
)
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.faults import FaultCategory

T = TypeVar("T")
Opener = Callable[[Login, Address], Ask]
_SILENT = frozenset({FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT})
_OUTLIVES = (
    Outlives("certificate", CERTIFICATE_S, of_things=True),
    Outlives("shared_account_session", of_things=True),
)


class FleetConnector:
    """One fleet: an account is a name, on every host that has it, and the keys that are its own.

    Args:
        given: see `connectors.ssh_fleet.options`.
        opener: how a host is asked; replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(self, given: ConnectorOptions, *, opener: Opener = Login.ask) -> None:
        values = read_options(OPTIONS, given, kind=KIND)
        self._values = values
        self._system = given.system
        self._name_is = kinds_of(values[NAME_IS])
        self._gecos_holds = kinds_of(values[GECOS_HOLDS])
        self._peoples_keys = Reread(values[PEOPLES_KEYS], keys_in)
        self._login = _login(values, given.timeout.total_seconds())
        self._given = given
        self._opener = opener
        self._inventory = Reread(values[HOSTS], self._hosts_in)
        self._gate = asyncio.Semaphore(values[AT_ONCE])

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        """Nothing stays open between calls."""

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """List the accounts of every host, and compare."""
        held = {*self._name_is, *self._gecos_holds}
        ids = [Key(KeyKind.ACCOUNT_ID, each) for each in keys.account_ids(self._system)]
        wanted = [*ids, *(key for key in keys.keys if key.kind in held)]
        if not wanted:
            return Location((), ())
        everybody, faults = await self._everybody(transcript)
        if len(faults) == len(self._hosts()):
            raise first_of(faults)
        searching = Searching(not_theirs, faults)
        whole = Proof.LISTED if everybody else Proof.UNPROVED
        proof = Proof.FAILED if faults else whole
        searches = tuple(Search(key.kind, key.value, proof) for key in wanted)
        found = found_in(everybody, wanted)
        return searching.told(Location(found, searches, listed=len(everybody)))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """Whether each host lets the account in, and no more."""
        seen = await self.read_back(account, transcript)
        doors = tuple(way for way in seen.standing if way.kind is AccessKind.SIGN_IN)
        missed = tuple(row for row in seen.unread if row.kind is AccessKind.SIGN_IN)
        return replace(seen, standing=doors, unread=(*missed, *told.UNASKED))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Lock the account and let it expire, on every host where it stands open."""
        return await in_order(
            self._steps("lock", AccessKind.SIGN_IN, account, before, transcript),
            at_once=len(self._hosts()),
        )

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Every host, each by itself."""
        looks = await self._each(self._hosts().values(), "see", account.id, transcript)
        seen = [self._seen(host, account.id, found) for host, found in looks.items()]
        faults = [one for one in seen if isinstance(one, ConnectorFault)]
        good = [one for one in seen if isinstance(one, Observation)]
        if not good:
            raise first_of(faults)
        missed = [unread(kind, fault) for fault in faults for kind in told.KINDS]
        return Observation(
            account.id,
            exists=any(one.exists for one in good) or account.id in self._keys(),
            standing=tuple(way for one in good for way in one.standing),
            residuals=tuple(dict.fromkeys(left for one in good for left in one.residuals)),
            unread=tuple(dict.fromkeys(missed)),
        )

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """End the sessions, revoke what is a certificate's or key's, take keys out of files."""
        stages = (
            ("end", AccessKind.SESSION),
            ("revoke", AccessKind.TOKEN),
            ("take", AccessKind.SECRET),
        )
        return await in_order(
            *(self._steps(verb, kind, account, before, transcript) for verb, kind in stages),
            at_once=len(self._hosts()),
        )

    async def health(self, transcript: Transcript) -> Health:
        """Reach every host, and see what would hinder there."""
        looks = await self._each(self._hosts().values(), "about", "", transcript)
        faults = [found for found in looks.values() if isinstance(found, ConnectorFault)]
        silent = [fault for fault in faults if fault.category in _SILENT]
        return Health(len(silent) < len(looks), tuple(told.problems(looks)))

    async def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Every account that some host lets in."""
        everybody, faults = await self._everybody(transcript)
        active = (one for one in everybody if one.seen is not None and one.seen.signs_in)
        accounts = tuple(ActiveAccount(one.account, one.name) for one in active)
        gaps = tuple(gap("accounts", fault) for fault in faults)
        yield ActivePage(accounts, ListEnd(len(everybody), gaps))

    async def places(self, transcript: Transcript) -> tuple[Place, ...]:  # noqa: ARG002 - the inventory names them
        """Every host of the inventory."""
        return tuple(Place(name, name) for name in self._hosts())

    async def read_back_at(
        self, place: Place, account: Account, transcript: Transcript
    ) -> Observation:
        """What one host says."""
        host = self._hosts()[place.ref]
        looks = await self._each([host], "see", account.id, transcript)
        seen = self._seen(host.name, account.id, looks[host.name])
        if isinstance(seen, ConnectorFault):
            raise seen
        return seen

    def _hosts_in(self, path: str) -> Mapping[str, Host]:
        return {
            address.name: Host(
                address.name,
                self._opener(self._login, address),
                secrets=[self._values[PRIVATE_KEY]],
                timeout=self._given.timeout,
                pace=self._given.pace,
            )
            for address in hosts_in(path)
        }

    def _hosts(self) -> Mapping[str, Host]:
        return _read(self._inventory)

    def _keys(self) -> Mapping[str, tuple[str, ...]]:
        return _read(self._peoples_keys)

    def _seen(
        self, host: str, name: str, found: Rows | ConnectorFault
    ) -> Observation | ConnectorFault:
        if isinstance(found, ConnectorFault):
            return found
        seen = told.seen(host, name, found)
        if seen is None:
            odd = FaultCategory.UNEXPECTED_ANSWER
            return self._hosts()[host].fault(odd, told.OPERATIONS["see"], "other_rows")
        outlive = told.outliving(found, self._keys().get(name, ()))
        left = shown(_OUTLIVES, self._values, signs_in=seen.signs_in, seen=outlive)
        return replace(seen, residuals=left)

    async def _each(
        self, hosts: Iterable[Host], verb: str, name: str, transcript: Transcript
    ) -> Mapping[str, Rows | ConnectorFault]:
        """One question to each, some at a time; a host that fails keeps no other from answering."""
        if name and not NAME.fullmatch(name):
            return {host.name: [] for host in hosts}
        asked = list(hosts)
        looks = await asyncio.gather(
            *(attempt(self._one(host, verb, name, transcript)) for host in asked)
        )
        found = {host.name: look for host, look in zip(asked, looks, strict=True)}
        if all(isinstance(look, ConnectorFault) for look in looks):
            return found
        return {host: self._not_all(host, look) for host, look in found.items()}

    def _not_all(self, host: str, look: Rows | ConnectorFault) -> Rows | ConnectorFault:
        """Where others let us in, one that does not says nothing of our credential."""
        if isinstance(look, list) or look.category is not FaultCategory.CREDENTIALS_REJECTED:
            return look
        return self._hosts()[host].fault(FaultCategory.MISCONFIGURED, look.operation, "not_let_in")

    async def _one(self, host: Host, verb: str, name: str, transcript: Transcript) -> Rows:
        request = Request(verb, name, self._keys().get(name, ()))
        async with self._gate:
            rows, _ = await host.run(told.OPERATIONS[verb], request, transcript)
        return rows

    def _steps(
        self,
        verb: str,
        kind: AccessKind,
        account: Account,
        before: Observation,
        transcript: Transcript,
    ) -> list[Step]:
        """One change on each host where something of the kind stands."""
        ways = [way for way in before.standing if way.kind is kind]
        due = {name: [way for way in ways if told.host_of(way) == name] for name in self._hosts()}

        async def change(host: Host) -> tuple[Action, ...]:
            specs = self._keys().get(account.id, ())
            request = Request(verb, account.id, specs, effect=True)
            async with self._gate:
                rows, exchange = await host.run(told.OPERATIONS[verb], request, transcript)
            return actions(due[host.name] if ("done", verb) in rows else (), exchange)

        return [partial(change, self._hosts()[name]) for name, some in due.items() if some]

    async def _everybody(self, transcript: Transcript) -> tuple[list[Match], list[ConnectorFault]]:
        looks = await self._each(self._hosts().values(), "list", "", transcript)
        faults = [one for one in looks.values() if isinstance(one, ConnectorFault)]
        accounts = told.accounts(looks, also=self._keys())
        return [self._match(name, of) for name, of in accounts.items()], faults

    def _match(self, name: str, entries: Mapping[str, told.Entry]) -> Match:
        keys = dict.fromkeys(self._held(name, entries.values()))
        doors = tuple(told.door(host) for host, one in entries.items() if not one.is_locked)
        seen = Observation(name, exists=True, standing=doors, unread=told.UNASKED)
        called = next((one.called for one in entries.values() if one.called), "")
        return Match(Account(name, name, tuple(keys)), KeyKind.ACCOUNT_ID, seen, name=called)

    def _held(self, name: str, entries: Iterable[told.Entry]) -> Iterator[Key]:
        yield from (Key(kind, name) for kind in self._name_is)
        for entry in entries:
            yield from (Key(kind, entry.last) for kind in self._gecos_holds if entry.last)


def _read(file: Reread[T]) -> T:
    """What a file says now.

    Raises:
        ConnectorFault: it is wrong by now; the settings were right when they were read.
    """
    try:
        return file.get()
    except ValueError as error:
        code = str(error).partition(":")[0]
    raise ConnectorFault(
        FaultCategory.MISCONFIGURED, connector=KIND, operation="files.read", code=code
    )


def _login(values: Values, timeout_s: float) -> Login:
    try:
        key = asyncssh.import_private_key(values[PRIVATE_KEY])
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        key = None
    if key is None:
        raise ValueError(f"{PRIVATE_KEY.name}: no private key without a passphrase")
    known = values[KNOWN_HOSTS]
    try:
        asyncssh.read_known_hosts(known)
    except (OSError, ValueError):
        raise ValueError(f"{KNOWN_HOSTS.name}: the file cannot be read") from None
    return Login(values[USER], key, known, timeout_s)


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="A fleet of hosts by SSH (OpenSSH on Linux)",
    category=Category.SAAS,
    build=FleetConnector,
    options=OPTIONS,
    permissions=(
        f"{RULE}: lock accounts, end their sessions, take keys out, revoke them; nothing else",
    ),
    proves=(
        "on every host of the inventory: the shadow entry is locked and has expired, no process of"
        " the account runs, none of its keys and none that is told to be the person's stands in any"
        " file that sshd reads, the revocation list names them. An account has no id but its name"
    ),
    residual_s={"certificate": None, "shared_account_session": None},
    calls=8,
    abilities={
        Ability.LIST_ACTIVE: (
            "accounts from user id 1000 on that some host lets in; not those that a directory gives"
            " to hosts without enumerating them, nor whose keys stand in shared accounts only"
        ),
        Ability.READ_EACH_PLACE: "every host of the inventory",
    },
    revives_on_unblock=frozenset({AccessKind.SESSION, AccessKind.TOKEN, AccessKind.SECRET}),
    enforced_at=EnforcedAt(Enforcement.EACH_READ, "hosts"),
)
