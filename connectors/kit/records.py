"""An account's own record, as the spec reads it: whose it is, and whether the sign-in stands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from connectors.base import Transcript
from connectors.http import Answer, vendor_instant
from connectors.kit.calls import NO_ONE, Api, Words, fill
from connectors.kit.instants import told_instant
from connectors.kit.options import Values
from connectors.kit.pages import Item
from connectors.kit.paths import Path, at
from connectors.kit.residuals import shown
from connectors.kit.spec import Door, RestSpec
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Match,
    Observation,
    Residual,
    Unread,
)

_READ_AT: Final = "lockstep.read_at"
"""Where a record carries when it was read, by the vendor's clock; no vendor's field."""


class Records:
    """Reads records of one system."""

    def __init__(
        self,
        spec: RestSpec,
        api: Api,
        values: Values,
        *,
        words: Words,
        unasked: Callable[[Item], tuple[Unread, ...]],
    ) -> None:
        self._spec = spec
        self._api = api
        self._values = values
        self._words = words
        self._unasked = unasked
        self._ref = spec.finding.everybody.shape.ref

    async def one(self, account_id: str, transcript: Transcript) -> Item | None:
        """The record by id; None when there is none, and the list agrees where that is needed."""
        call = self._spec.record.get
        answer = await self._api.read(call, {"id": account_id}, transcript)
        if answer is None:
            if not self._spec.record.listed_too:
                return None
            everybody = await self._api.whole(self._spec.finding.everybody, {}, transcript)
            return next((one for one in everybody if one[self._ref] == account_id), None)
        record = self.of(answer, call.operation)
        if record[self._ref] != account_id:
            raise self._api.odd(call.operation, "other_user", answer)
        completes = self._spec.record.completes
        if completes is None:
            return record
        return await completes(self._api, self._values, record, transcript)

    def of(self, answer: Answer, operation: str) -> Item:
        """The record in an answer.

        Raises:
            ConnectorFault: unexpected answer, without what every record says.
        """
        found = at(answer.data, self._spec.record.within)
        if not isinstance(found, dict) or not found.get(self._ref):
            raise self._api.odd(operation, "no_record", answer)
        if not all(isinstance(found.get(name), str) for name in self._spec.record.says):
            raise self._api.odd(operation, "no_record", answer)
        return {**found, self._ref: str(found[self._ref]), _READ_AT: answer.exchange.at_by_vendor}

    def match(self, record: Item, found_by: KeyKind) -> Match:
        """A record as a search shows it, with everything by which it can be told from another."""
        rows = self._spec.record
        account = Account(record[self._ref], self.locator(record), self._keys(record))
        return Match(
            account,
            found_by,
            self.seen(account.id, record),
            name=self._name(record),
            created_at=told_instant(at(record, rows.created)) if rows.created else None,
            last_used_at=told_instant(at(record, rows.used)) if rows.used else None,
        )

    def seen(self, account_id: str, record: Item | None) -> Observation:
        """What the record says; all else is kept in lists of their own."""
        doors = () if record is None else tuple(self._open_doors(account_id, record))
        signs_in = any(door.kind is AccessKind.SIGN_IN for door in doors)
        off_since = at(record, self._spec.sign_in.off_since) if record else None
        return Observation(
            account_id,
            exists=record is not None,
            standing=doors,
            off_since=vendor_instant(off_since) if not signs_in else None,
            residuals=self.residuals(record, signs_in=signs_in),
            unread=self._unasked(record) if record is not None else (),
        )

    def residuals(
        self, record: Item | None, *, signs_in: bool, seen: Collection[str] = ()
    ) -> tuple[Residual, ...]:
        """What outlives the revocation of the account, by what its lists show (``seen``)."""
        off_since = vendor_instant(at(record, self._spec.sign_in.off_since))
        read_at = at(record, (_READ_AT,))
        shut_for = read_at - off_since if off_since is not None and read_at is not None else None
        return shown(
            self._spec.outlives, self._values, signs_in=signs_in, seen=seen, shut_for=shut_for
        )

    def locator(self, record: Item) -> str:
        """What calls need beside the id."""
        path = self._spec.record.keys[0].at
        return str(at(record, path) or "") if isinstance(path, tuple) else ""

    @staticmethod
    def words(account: Account, locator: str | None = None) -> Words:
        """What fills in the account's calls."""
        name = account.locator if locator is None else locator
        return {"id": account.id, "locator": name or NO_ONE}

    def words_of(self, record: Item) -> Words:
        """The same, as the record says them now: a name may have become another's since."""
        rows = self._spec.record.words.items()
        more = {name: self.field_of(record, path) for name, path in rows}
        return {"id": record[self._ref], "locator": self.locator(record) or NO_ONE, **more}

    def field_of(self, record: Item, path: Path | Callable[[Item], object]) -> str:
        """A field as trimmed text; a number of HR's may stand there as a number."""
        value = path(record) if callable(path) else at(record, path)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        is_text = isinstance(value, str | int) and not isinstance(value, bool)
        return str(value).strip() if is_text else ""

    def _name(self, record: Item) -> str:
        row = self._spec.record.name
        if callable(row):
            return row(record)
        return str(at(record, row) or "") if row else ""

    def _keys(self, record: Item) -> tuple[Key, ...]:
        keys = []
        for number, row in enumerate(self._spec.record.keys):
            values = self._values_at(record, row.at)
            kept = (value for value in values if (value or number == 0) and row.when(value))
            keys += [Key(row.kind, value) for value in kept]
        return tuple(dict.fromkeys(keys))

    def _values_at(
        self, record: Item, where: Path | Callable[[Item], Iterable[str]]
    ) -> tuple[str, ...]:
        if callable(where):
            return tuple(where(record))
        path = tuple(fill(part, self._words) for part in where)
        return (self.field_of(record, path) if all(path) else "",)

    def _open_doors(self, account_id: str, record: Item) -> list[Access]:
        return [
            Access(door.kind, door.ref.format(id=account_id))
            for door in self._spec.sign_in.doors
            if door.where(self._values) and not _is_shut(door, record)
        ]


def _is_shut(door: Door, record: Item) -> bool:
    # Neither 0 nor "false" is the vendor's false: what is not said as documented is open.
    said = door.at(record) if callable(door.at) else at(record, door.at)
    return said == door.shut and type(said) is type(door.shut)
