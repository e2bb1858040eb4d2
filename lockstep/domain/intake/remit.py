"""For whose people somebody speaks: partners and sites. Of others their word does not count."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Remit:
    """Partners and sites that a source, or a person who reports, may speak for; None is every one.

    Whoever speaks for some partners only has to say whose a leaver is, unless there is only one.
    """

    partners: frozenset[str] | None = None
    sites: frozenset[str] | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Collection[str] | None]) -> Remit:
        """Read what `as_document` wrote."""
        partners, sites = document["partners"], document["sites"]
        return cls(
            None if partners is None else frozenset(partners),
            None if sites is None else frozenset(sites),
        )

    def as_document(self) -> dict[str, list[str] | None]:
        """As plain data."""
        return {
            "partners": None if self.partners is None else sorted(self.partners),
            "sites": None if self.sites is None else sorted(self.sites),
        }

    def is_within(self, other: Remit) -> bool:
        """Whether ``other`` speaks for everybody for whom this speaks."""
        return _within(self.partners, other.partners) and _within(self.sites, other.sites)

    @property
    def is_bound(self) -> bool:
        """Whether there is anybody for whom it does not speak."""
        return self.partners is not None or self.sites is not None

    def covers(self, partner: str, site: str) -> bool:
        """Whether it speaks for somebody of this partner and site; "" is of none."""
        return _in(partner, self.partners) and _in(site, self.sites)

    def named(self, partner: str, site: str) -> tuple[str, str]:
        """The same with what goes without saying: where it speaks for one only, it is that one."""
        return partner or _only(self.partners), site or _only(self.sites)

    def why_not(self, partner: str, site: str) -> str:
        """Why it may not be said of somebody of this partner and site; "" where it may."""
        for what, name, mine in (
            ("partner", partner, self.partners),
            ("site", site, self.sites),
        ):
            if not _in(name, mine):
                said = "it speaks for" if name else "say which: it speaks for"
                return f"{what}: not of this source's: {said} {_told(mine or ())}"
        return ""


EVERYBODY = Remit()


def _in(name: str, mine: frozenset[str] | None) -> bool:
    return mine is None or name in mine


def _within(some: frozenset[str] | None, all_of: frozenset[str] | None) -> bool:
    return all_of is None or (some is not None and some <= all_of)


def _only(mine: frozenset[str] | None) -> str:
    return next(iter(mine)) if mine is not None and len(mine) == 1 else ""


def _told(names: Iterable[str]) -> str:
    known = sorted(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{', '.join(known[:_SHOWN]) or 'nobody'}{more}"
