"""What a list of cases is narrowed to, as it stands in an address; nothing personal stands there.

Whatever is searched for may be somebody's address: in a link it is encrypted for whoever asked,
because links end up in histories and in the logs of proxies.
"""

from __future__ import annotations

import base64
import binascii
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlencode

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.rights import Principal
from lockstep.storage.board.filter import BoardState, Due, Place, Wanted
from lockstep.storage.cases.keys import searched_indexes
from lockstep.storage.keys.keyring import Keyring, KeyringError

LONGEST = 200
"""Characters of any one filter."""
_LONGEST_TOKEN = 2000
ME = "me"
"""As an assignee: whoever asks."""
_CHOICES: dict[str, type[StrEnum]] = {"state": BoardState, "due": Due, "kind": TerminationKind}


def is_text(value: str) -> bool:
    """Whether a text is one line that can be stored: no control characters, no half pairs."""
    return not any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in value)


class FilterError(LockstepError, ValueError):
    """A filter that does not exist; the text names it and quotes nothing."""

    kind = Kind.NOT_VALID


@dataclass(frozen=True, slots=True)
class Filters:
    """As people set them. ``search`` is what they typed and may be personal; "" narrows nothing."""

    state: str = BoardState.NEED.value
    partner: str = ""
    site: str = ""
    system: str = ""
    kind: str = ""
    due: str = ""
    assignee: str = ""
    search: str = field(default="", repr=False)

    @classmethod
    def parse(cls, given: Mapping[str, str], search: str = "") -> Filters:
        """From the parameters of an address; those that are no filters are left aside.

        Raises:
            FilterError: for a value that cannot be.
        """
        values = {
            name: given[name].strip() for name in cls.plain_names() if given.get(name, "").strip()
        }
        for name, value in {**values, "search": search}.items():
            if len(value) > LONGEST or not is_text(value):
                raise FilterError(f"{name}: at most {LONGEST} printable characters")
            choices = _CHOICES.get(name)
            if choices is not None and value not in [item.value for item in choices]:
                raise FilterError(f"{name}: one of {', '.join(choices)}")
        return cls(**values, search=search.strip())

    @classmethod
    def plain_names(cls) -> tuple[str, ...]:
        """The filters that stand in an address as they are."""
        return tuple(item.name for item in fields(cls) if item.name != "search")

    def changed(self, **values: str) -> Filters:
        """The same with other values."""
        return replace(self, **values)

    def plain(self) -> dict[str, str]:
        """The filters that are set, but for what was searched."""
        found = {name: getattr(self, name) for name in self.plain_names()}
        if found["state"] == BoardState.NEED:
            del found["state"]
        return {name: value for name, value in found.items() if value}

    @property
    def narrows(self) -> bool:
        """Whether anything but the state is set."""
        return bool(self.search) or bool(set(self.plain()) - {"state"})

    def wanted(self, me: Principal, ring: Keyring, tenant: str) -> Wanted:
        """For storage. Whoever may not see names cannot find a case by whose it is, either."""
        indexes = searched_indexes(ring, tenant, self.search) if me.sees_names else frozenset()
        return Wanted(
            state=BoardState(self.state),
            partner=self.partner,
            site=self.site,
            system=self.system,
            kind=self.kind,
            due=Due(self.due) if self.due else None,
            assignee=me.user_id if self.assignee == ME else self.assignee,
            case_id=self.search.casefold(),
            key_indexes=indexes if self.search else frozenset(),
        )


@dataclass(frozen=True, slots=True)
class Links:
    """Writes and reads addresses of lists for one person."""

    ring: Keyring = field(repr=False)
    user_id: str

    def query(self, filters: Filters, **more: str) -> str:
        """Filters as the query of an address, without "?"; "" where nothing is set."""
        values = {**filters.plain(), **{name: value for name, value in more.items() if value}}
        if filters.search:
            values["search"] = self.seal(filters.search)
        return urlencode(values)

    def parse(self, given: Mapping[str, str]) -> Filters:
        """Filters of an address that `query` wrote; what another wrote for himself opens not.

        Raises:
            FilterError: see `Filters.parse`.
        """
        token = given.get("search", "")
        return Filters.parse(given, self.open(token) if token else "")

    def seal(self, search: str) -> str:
        cipher = self.ring.encrypt(search.encode(), context=self._context)
        return base64.urlsafe_b64encode(cipher).decode().rstrip("=")

    def open(self, token: str) -> str:
        """What `seal` closed.

        Raises:
            FilterError: for anything else.
        """
        if len(token) > _LONGEST_TOKEN:
            raise FilterError("search: search again")
        try:
            cipher = base64.b64decode(
                token + "=" * (-len(token) % 4), altchars=b"-_", validate=True
            )
            return self.ring.decrypt(cipher, context=self._context).decode()
        except (KeyringError, binascii.Error, ValueError):
            raise FilterError("search: search again") from None

    @property
    def _context(self) -> bytes:
        return b"search:" + self.user_id.encode()


def write_place(place: Place | None) -> str:
    """Where the next page begins, as a word for an address."""
    if place is None:
        return ""
    document = [place.at.astimezone(UTC).isoformat(), place.tier, place.rank, place.case_id]
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def read_place(word: str) -> Place | None:
    """What `write_place` wrote; None for "".

    Raises:
        FilterError: for anything else.
    """
    if not word:
        return None
    wrong = FilterError("after: take it from an answer as it is")
    if len(word) > LONGEST or not word.isascii():
        raise wrong
    try:
        raw = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        at, tier, rank, case_id = json.loads(raw)
        place = Place(datetime.fromisoformat(at), str(tier), int(rank), str(case_id))
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise wrong from None
    words_only = (place.tier + place.case_id).isprintable() and place.rank in {0, 1}
    if place.at.tzinfo is None or not words_only:
        raise wrong
    return place
