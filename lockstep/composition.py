"""What a process is made of. Web, worker and command line take it from here, and build none beside.

A store is built once per process (`Stores`), and so is each use case that more than one part of a
process or more than one process needs. What only one needs is built where that process is.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.control.cases.casework import CaseDesk
from lockstep.control.cases.desk import Desk
from lockstep.control.hr.reporters import Reporters
from lockstep.control.intake.brake import BrakeDesk
from lockstep.control.intake.places import Places
from lockstep.control.intake.whose_case import WhoseCase
from lockstep.control.people.api_tokens import ApiTokenDesk
from lockstep.control.people.bars import Bars
from lockstep.control.people.one_person import OnePerson
from lockstep.control.people.sessions import Sessions
from lockstep.control.privacy.keeping import Retention
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.sight import ScoreSight
from lockstep.control.systems.overview import SystemsDesk, connected
from lockstep.control.systems.pauses import PauseDesk
from lockstep.control.systems.seats import SeatDesk
from lockstep.domain.policy import Policy
from lockstep.settings import Settings, SettingsError
from lockstep.storage.cases.keys import key_indexes
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.score.facts_proof import Seal
from lockstep.storage.stores import Stores

if TYPE_CHECKING:
    from lockstep.control.packs.export import Exporter


def open_stores(settings: Settings, engine: AsyncEngine, ring: Keyring | None) -> Stores:
    """The stores of this process; call it once. Without ``ring`` nothing personal is read."""
    return Stores(
        engine,
        ring,
        tenant=settings.tenant,
        partners=settings.partners,
        systems=list(settings.systems),
    )


def packs_folder(settings: Settings) -> Path:
    """Where packs lie that were ordered through the API."""
    return settings.path(settings.data_dir) / "packs"


class Root:
    """Use cases by name, each built once, when it is first asked for.

    Args:
        settings: what this installation is set to.
        stores: the process's stores; see `open_stores`.
    """

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self.settings = settings
        self.stores = stores

    @property
    def facts_seal(self) -> Seal:
        """Marks what the sequencer wrote of the facts; the database does not hold the key."""
        return lambda text: self.stores.ring.blind_index("facts_mark", self.stores.tenant, text)

    @property
    def packs_folder(self) -> Path:
        return packs_folder(self.settings)

    @cached_property
    def policy(self) -> Policy:
        return self.settings.to_policy()

    # What HR says

    @cached_property
    def places(self) -> Places:
        """Knows which partners and sites there are."""
        said = self.settings
        return Places(said.place_list(), self.stores.seen_places, said.partners, said.bound_sites)

    @cached_property
    def whose(self) -> WhoseCase:
        numbering, remits = self.settings.numbering(), self.settings.remits()
        return WhoseCase(self.stores.cases, self.stores.inbox, numbering, remits)

    @cached_property
    def reporters(self) -> Reporters:
        return Reporters.on(self.stores)

    @cached_property
    def brake(self) -> BrakeDesk:
        return BrakeDesk(
            self.stores.brakes,
            self.stores.log,
            tenant=self.stores.tenant,
            pairs=self.settings.console.pairs(),
            one_person=self.one_person,
        )

    # Cases and systems

    @cached_property
    def desk(self) -> Desk:
        """Reaches no workflow before a client is attached."""
        return Desk(
            tenant=self.stores.tenant,
            views=self.stores.views,
            inbox=self.stores.inbox,
            rule=self.policy.cutoff,
            systems=frozenset(self.settings.systems),
            places=self.places,
        )

    @cached_property
    def cases(self) -> CaseDesk:
        pairs = self.settings.console.pairs()
        return CaseDesk(self.stores, self.desk, pairs=pairs, one_person=self.one_person)

    @cached_property
    def systems(self) -> SystemsDesk:
        return SystemsDesk(self.stores, self.policy)

    @cached_property
    def seats(self) -> SeatDesk:
        """What freed seats come to; of a system whose file cannot be read nothing is known."""
        counts = dict.fromkeys(self.settings.systems, False)
        for name in self.settings.connected:
            with suppress(SettingsError):
                counts[name] = self.settings.manifest(name).counts_seats
        return SeatDesk(self.stores.freed_seats, self.settings.seats.to_prices(), counts)

    @cached_property
    def pauses(self) -> PauseDesk:
        return PauseDesk(
            self.stores.pauses,
            self.stores.log,
            connected(self.policy),
            pairs=self.settings.console.pairs(),
            one_person=self.one_person,
        )

    # People

    @cached_property
    def token_owners(self) -> dict[str, frozenset[bytes]]:
        """Blind indexes of the keys of whoever holds a token of the settings, by its name."""
        ring, tenant = self.stores.ring, self.stores.tenant
        owners = self.settings.token_owners()
        return {name: key_indexes(ring, tenant, keys) for name, keys in owners.items()}

    @cached_property
    def one_person(self) -> OnePerson:
        return OnePerson(self.stores.identities, self.stores.users, self.token_owners)

    @cached_property
    def sessions(self) -> Sessions:
        said = self.settings.console
        return Sessions(self.stores, idle=said.idle, lifetime=said.lifetime)

    @cached_property
    def tokens(self) -> ApiTokenDesk:
        return ApiTokenDesk(self.stores)

    @cached_property
    def bars(self) -> Bars:
        return Bars(self.stores)

    @cached_property
    def retention(self) -> Retention:
        keep = self.settings.retention.names
        return Retention(self.stores.erasure, keep=keep, packs=self.packs_folder)

    # Evidence and score

    @cached_property
    def exporter(self) -> Exporter:
        from lockstep.control.packs.export import Exporter  # noqa: PLC0415 - few commands draw packs

        said = self.settings
        return Exporter(self.stores, origin=said.ledger_origin, open_signer=said.open_signer)

    @cached_property
    def score(self) -> ScoreService:
        """Answers what the score is; whoever asks it closes it."""
        rules = self.settings.scorecard.to_rules(
            tenant=self.stores.tenant, heartbeat=self.settings.ledger.heartbeat
        )
        return ScoreService(self.stores.scores, rules, seal=self.facts_seal)

    @cached_property
    def score_sight(self) -> ScoreSight:
        return ScoreSight(self.score, self.stores.known, self.stores.sight)
