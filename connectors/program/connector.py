"""A `Connector` that asks an operator's program, a process for each request.

What the program says is believed as a vendor's answer is: strictly, and only to what was asked.
Silence, garbage, an exit without an answer and a word that is unknown are faults, never "absent".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from connectors.base import (
    ConnectorFault,
    ConnectorManifest,
    ConnectorOptions,
    OptionSpec,
    Transcript,
)
from connectors.kit import options as rows
from connectors.kit.instants import told_instant
from connectors.kit.options import Option
from connectors.kit.residuals import residual
from connectors.program.asking import KIND, Asking
from connectors.program.process import unsafe
from connectors.program.protocol import (
    AccountRow,
    Do,
    Healthy,
    Located,
    MatchRow,
    Seen,
    UnreadRow,
    instant,
)
from lockstep.domain.cases.leavers import Key, LeaverKeys
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
    Search,
    Unread,
)
from lockstep.domain.systems.faults import FaultCategory, rule_for

_SILENT = frozenset({FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT})
PROGRAM: Final = rows.text("program", "the executable, with its whole path", required=True)
TIME: Final = rows.seconds(
    "time_s", "seconds that one request may take", default=45, least=1, most=300
)
AT_ONCE: Final = rows.whole(
    "processes", "requests at a time, each a process of its own", default=4, least=1, most=32
)


def _stated(value: object) -> dict[str, int | None]:
    if not isinstance(value, dict):
        raise ValueError("a table of codes and seconds")  # noqa: TRY004 - the contract of options
    bound = rows.bound("bound", "").parse
    return {str(what): bound(seconds) for what, seconds in value.items()}


RESIDUALS: Final = Option(
    "residuals",
    'what outlives a revocation: { session = 3600, badge_cache = "unknown" }',
    required=False,
    parse=_stated,
    absent=dict[str, int | None](),
)
T = TypeVar("T")

_OWN = (PROGRAM, TIME, AT_ONCE, RESIDUALS)


class ProgramConnector:
    """One system that a program speaks to. See `connectors.base.Connector`.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(self, given: ConnectorOptions) -> None:
        own = {row.name: row for row in _OWN}
        program = Path(PROGRAM.read(given))
        if reason := unsafe(program):
            raise ValueError(f"{PROGRAM.name}: {reason}")
        self._residuals = RESIDUALS.read(given)
        self._asking = Asking(
            program,
            system=given.system,
            options={key: value for key, value in given.settings.items() if key not in own},
            secrets=given.secrets,
            pace=given.pace,
            within=float(TIME.read(given)),
            at_once=AT_ONCE.read(given),
        )

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        """Nothing stays open between requests."""

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Ask for every account, with the proof of each search."""
        asked = [{"kind": key.kind, "value": key.value} for key in keys.keys]
        answer, _ = await self._asking.ask(
            Do.LOCATE, transcript, keys=tuple(asked), not_theirs=tuple(not_theirs)
        )
        told = _of(Located, answer)
        known = {(key.kind, key.value) for key in keys.keys}
        ids = [match.account.id for match in told.accounts]
        if len(set(ids)) != len(ids):
            raise self._odd(Do.LOCATE, "account_twice")
        if any((search.kind, search.value) not in known for search in told.searches):
            raise self._odd(Do.LOCATE, "searched_what_was_not_asked")
        if {match.found_by for match in told.accounts} - {one.kind for one in told.searches}:
            raise self._odd(Do.LOCATE, "found_without_a_search")
        return Location(
            tuple(map(_match, told.accounts)),
            tuple(Search(one.kind, one.value, one.proof) for one in told.searches),
            listed=told.listed,
            unread=tuple(map(self._unread, told.unread)),
        )

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The account's own record."""
        return await self._seen(Do.LOOK, account, transcript)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """All that stands."""
        return await self._seen(Do.READ_BACK, account, transcript)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Shut the sign-in, where it stands."""
        if not before.signs_in:
            return ()
        return await self._closed(Do.CONTAIN, account, before.standing, transcript)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close everything else that stood."""
        due = [way for way in before.standing if way.kind is not AccessKind.SIGN_IN]
        return await self._closed(Do.STRIP, account, due, transcript) if due else ()

    async def health(self, transcript: Transcript) -> Health:
        """What the program says of itself and of the system; a fault is a problem."""
        try:
            answer, _ = await self._asking.ask(Do.HEALTH, transcript)
        except ConnectorFault as fault:
            missing = f".{fault.missing}" if fault.missing else ""
            fix = rule_for(fault.category).suggestion
            problem = Problem(f"{fault.category.value}{missing}", str(fault), fix)
            return Health(fault.category not in _SILENT, (problem,))
        told = _of(Healthy, answer)
        return Health(
            told.reachable,
            tuple(Problem(row.code, row.summary, row.fix, row.severity) for row in told.problems),
        )

    async def _seen(self, do: Do, account: Account, transcript: Transcript) -> Observation:
        answer, _ = await self._asking.ask(do, transcript, account=_account(account))
        told = _of(Seen, answer)
        if not told.exists and (told.standing or told.unread):
            raise self._odd(do, "stands_without_account")
        if unknown := set(told.residuals) - set(self._residuals):
            raise self._odd(do, f"residual_not_stated.{min(unknown)}")
        off_since = instant(told.off_since)
        standing = tuple(Access(way.kind, way.ref) for way in told.standing)
        if len(set(standing)) != len(standing):
            raise self._odd(do, "way_twice")
        return Observation(
            account.id,
            exists=told.exists,
            standing=standing,
            off_since=off_since.astimezone(UTC) if off_since else None,
            residuals=tuple(
                one for what in told.residuals for one in residual(what, self._residuals[what])
            ),
            unread=tuple(map(self._unread, told.unread)),
        )

    async def _closed(
        self, do: Do, account: Account, due: Sequence[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        ways = tuple({"kind": way.kind, "ref": way.ref} for way in due)
        _, actions = await self._asking.ask(
            do, transcript, closes=due, account=_account(account), standing=ways
        )
        return tuple(actions)

    def _unread(self, row: UnreadRow) -> Unread:
        clean = self._asking.clean
        wait = None if row.retry_after_s is None else timedelta(seconds=row.retry_after_s)
        return Unread(
            row.kind,
            row.category,
            operation=row.operation,
            code=clean(row.code),
            retry_after=wait,
            missing=clean(row.missing) or None,
            request_id=clean(row.request_id) or None,
        )

    def _odd(self, do: Do, code: str) -> ConnectorFault:
        code = self._asking.clean(code)
        return ConnectorFault(
            FaultCategory.UNEXPECTED_ANSWER, connector=KIND, operation=do.value, code=code
        )


def _of(kind: type[T], answer: object) -> T:
    if not isinstance(answer, kind):
        raise TypeError(kind.__name__)  # `Heard` has let nothing else through
    return answer


def _account(account: Account) -> dict[str, Any]:
    keys = tuple({"kind": key.kind, "value": key.value} for key in account.known_keys)
    return {"id": account.id, "locator": account.locator, "keys": keys}


def _match(row: MatchRow) -> Match:
    return Match(
        _known(row.account),
        row.found_by,
        name=row.name,
        created_at=told_instant(row.created or None),
        last_used_at=told_instant(row.used or None),
    )


def _known(row: AccountRow) -> Account:
    keys = tuple(Key(key.kind, key.value) for key in row.keys)
    return Account(row.id, row.locator, keys)


def manifest_for(options: Mapping[str, object]) -> ConnectorManifest:
    """What is known of one system: its table takes any option, for its own program.

    One whose value is a reference (``env:NAME``, ``file:PATH``) is a secret, resolved by us.
    """
    known = {row.name for row in _OWN}
    more = [_more(name, value) for name, value in options.items() if name not in known]
    try:
        stated = _stated(options.get(RESIDUALS.name, {}))
    except ValueError:
        stated = {}  # the option says so itself
    return _manifest((*_OWN, *more), stated)


def _more(name: str, value: object) -> OptionSpec:
    is_secret = isinstance(value, str) and value.startswith(("env:", "file:"))
    return OptionSpec(name, "an option of the program's own", required=False, secret=is_secret)


def _manifest(
    options: tuple[OptionSpec, ...], residuals: Mapping[str, int | None]
) -> ConnectorManifest:
    return ConnectorManifest(
        kind=KIND,
        title="A system of your own, spoken to by a program of yours",
        category=Category.SAAS,
        build=ProgramConnector,
        options=options,
        permissions=("as the program needs",),
        proves="what the program reads of the account, by its id",
        residual_s=residuals,
        of=manifest_for,
    )


MANIFEST: Final = _manifest(_OWN, {})
