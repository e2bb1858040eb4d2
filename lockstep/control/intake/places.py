"""Whether there is such a partner and such a site: asked at every door, and by intake."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from lockstep.control.intake.events import EventError
from lockstep.domain.intake.place_names import PlaceList, Seen, tidy
from lockstep.domain.intake.remit import EVERYBODY, Remit
from lockstep.storage.intake.seen_places import SeenPlaces


@dataclass(slots=True)
class Places:
    """The list of the settings; where it is empty, the names that cases have.

    A name that is in use is known without asking: the database is read for a strange one only.

    Args:
        listed: what the settings list.
        seen: what cases have; None where there is no database of them.
        configured: partners that other tables of the settings name.
        bound: sites that somebody is bound to there.
    """

    listed: PlaceList = field(default_factory=PlaceList)
    seen: SeenPlaces | None = None
    configured: Collection[str] = ()
    bound: Collection[str] = ()
    _in_use: dict[str, set[str]] = field(default_factory=dict, init=False)

    async def why_not(
        self, named: Sequence[tuple[str, str]], remit: Remit = EVERYBODY
    ) -> list[list[str]]:
        """What is wrong with each partner and site, as they were sent.

        Of several new ones that look alike all but the first are wrong.

        Args:
            named: partner and site of each.
            remit: for whom whoever names them speaks: of other names it is told nothing.
        """
        await self._look(named)
        in_use = {partner: {*sites, *self.bound} for partner, sites in self._in_use.items()}
        found = []
        for partner, site in named:
            problems = self._problems(partner, site, remit, Seen(in_use))
            if not problems:
                in_use.setdefault(tidy(partner), set(self.bound)).add(tidy(site))
            found.append(problems)
        return found

    async def check(self, partner: str, site: str, remit: Remit = EVERYBODY) -> None:
        """Refuse what is no partner or site; raises `EventError` with what is likely meant."""
        [problems] = await self.why_not([(partner, site)], remit)
        if problems:
            raise EventError(problems)

    def take(self, partner: str, site: str) -> None:
        """Count a partner and site as in use before the database says so: it was stored."""
        self._in_use.setdefault(tidy(partner), set()).add(tidy(site))

    def _problems(self, partner: str, site: str, remit: Remit, seen: Seen) -> list[str]:
        whose = tidy(partner)
        found = (
            self.listed.problem("partner", partner, seen=seen, mine=remit.partners),
            self.listed.problem("site", site, partner=whose, seen=seen, mine=remit.sites),
        )
        return [problem for problem in found if problem]

    async def _look(self, named: Sequence[tuple[str, str]]) -> None:
        """Read what is in use, if anything is named that is not known yet."""
        if self.seen is None or self.listed.is_complete:
            return
        is_known = all(
            not (partner or site) or tidy(site) in self._in_use.get(tidy(partner), ())
            for partner, site in named
        )
        if is_known:
            return
        for partner, sites in (await self.seen.read()).items():
            self._in_use.setdefault(partner, set()).update(sites)
        for partner in self.configured:
            self._in_use.setdefault(partner, set())
