"""Every store of one process, each built once: what is batched or remembered is shared by all."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.rights import Scope
from lockstep.storage.board.bulk import BulkReads
from lockstep.storage.board.file import CaseFiles
from lockstep.storage.board.known import KnownNames
from lockstep.storage.board.live import LedgerTail
from lockstep.storage.board.now import BoardReads
from lockstep.storage.board.saved_views import SavedViews
from lockstep.storage.board.sight import CaseSight
from lockstep.storage.board.views import CaseViews
from lockstep.storage.cases.acts import CaseActs
from lockstep.storage.cases.cases import Cases
from lockstep.storage.cases.doubts import Doubts
from lockstep.storage.cases.withdrawing import Withdrawals
from lockstep.storage.engine.clocks import Clocks
from lockstep.storage.engine.database import StorageError
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.intake.feeds import Feeds
from lockstep.storage.intake.inbox import Inbox
from lockstep.storage.intake.refused_events import RefusedEvents
from lockstep.storage.intake.seen_places import SeenPlaces
from lockstep.storage.intake.sent_events import SentEvents
from lockstep.storage.keys.artefacts import Artefacts
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.ledger.anchorings import Anchorings
from lockstep.storage.ledger.append import Ledger
from lockstep.storage.ledger.checkpoints import Checkpoints
from lockstep.storage.ledger.proofs import Proofs
from lockstep.storage.outgoing.deliveries import Deliveries
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.packs.orders import Exports
from lockstep.storage.packs.views import ExportViews
from lockstep.storage.people.acts import ActsLog
from lockstep.storage.people.api_tokens import ApiTokens
from lockstep.storage.people.bars import BarRows
from lockstep.storage.people.colleagues import Colleagues
from lockstep.storage.people.identities import Identities
from lockstep.storage.people.requests import Requests
from lockstep.storage.people.users import Users
from lockstep.storage.privacy.erasure import Erasure
from lockstep.storage.privacy.holds import Holds
from lockstep.storage.runtime.dismissals import Dismissals
from lockstep.storage.runtime.stalled import StalledCases
from lockstep.storage.runtime.sweeping import Sweeps
from lockstep.storage.score.policy_history import PolicyHistory
from lockstep.storage.score.scores import Scores
from lockstep.storage.systems.figures import SystemFigures
from lockstep.storage.systems.health import SystemHealth
from lockstep.storage.systems.outages import Outages
from lockstep.storage.systems.paces import PaceLeases, Paces
from lockstep.storage.systems.pauses import Pauses
from lockstep.storage.systems.revocations import Revocations
from lockstep.storage.systems.seats import FreedSeats
from lockstep.storage.systems.tries import Tries
from lockstep.storage.systems.waking import Wakings


class Stores:
    """Stores by name; one is built when it is first asked for, and kept.

    No store is built anywhere else, outside of tests: two ledgers would commit by themselves what
    one commits together.

    Args:
        engine: the process's connections.
        ring: opens what is personal; None where nothing of that is read, as while looking for
            what is wrong with the keyring.
        tenant: whose data.
        partners: names that the settings have, for whoever may know of every partner.
        systems: names that the policy has.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        ring: Keyring | None,
        *,
        tenant: str,
        partners: Collection[str] = (),
        systems: Collection[str] = (),
    ) -> None:
        self.engine = engine
        self.tenant = tenant
        self._ring = ring
        self._partners = partners
        self._systems = systems

    @property
    def ring(self) -> Keyring:
        """Opens what is personal; raises `StorageError` where no keyring was opened."""
        if self._ring is None:
            raise StorageError("no keyring is open in this process: personal data stays closed")
        return self._ring

    # engine

    @cached_property
    def clocks(self) -> Clocks:
        return Clocks(self.engine)

    # ledger, keys

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.engine)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.engine)

    @cached_property
    def anchorings(self) -> Anchorings:
        return Anchorings(self.engine)

    @cached_property
    def proofs(self) -> Proofs:
        return Proofs(self.engine)

    @cached_property
    def artefacts(self) -> Artefacts:
        return Artefacts(self.engine)

    # people

    @cached_property
    def log(self) -> ActsLog:
        return ActsLog(self.ledger, self.tenant)

    @cached_property
    def users(self) -> Users:
        return Users(self.engine, self.ring)

    @cached_property
    def identities(self) -> Identities:
        return Identities(self.engine)

    @cached_property
    def requests(self) -> Requests:
        return Requests(self.engine)

    @cached_property
    def colleagues(self) -> Colleagues:
        return Colleagues(self.engine, self.ring)

    @cached_property
    def api_tokens(self) -> ApiTokens:
        return ApiTokens(self.engine)

    @cached_property
    def bars(self) -> BarRows:
        return BarRows(self.engine, self.ring)

    # intake

    @cached_property
    def inbox(self) -> Inbox:
        return Inbox(self.engine, self.ring)

    @cached_property
    def feeds(self) -> Feeds:
        return Feeds(self.engine, self.tenant)

    @cached_property
    def brakes(self) -> Brakes:
        return Brakes(self.engine, self.ring, self.tenant)

    @cached_property
    def refused_events(self) -> RefusedEvents:
        return RefusedEvents(self.engine)

    @cached_property
    def sent_events(self) -> SentEvents:
        return SentEvents(self.engine, self.ring, source=LOCAL_SOURCE)

    @cached_property
    def seen_places(self) -> SeenPlaces:
        return SeenPlaces(self.engine)

    # cases

    @cached_property
    def cases(self) -> Cases:
        return Cases(self.engine, self.ring, self.ledger)

    @cached_property
    def acts(self) -> CaseActs:
        return CaseActs(self.engine, self.tenant)

    @cached_property
    def doubts(self) -> Doubts:
        return Doubts(self.engine)

    @cached_property
    def withdrawals(self) -> Withdrawals:
        return Withdrawals(self.engine, self.ring)

    # packs, runtime

    @cached_property
    def exports(self) -> Exports:
        return Exports(self.engine)

    @cached_property
    def export_views(self) -> ExportViews:
        return ExportViews(self.engine)

    @cached_property
    def dismissals(self) -> Dismissals:
        return Dismissals(self.engine)

    @cached_property
    def sweeps(self) -> Sweeps:
        return Sweeps(self.engine)

    @cached_property
    def stalled(self) -> StalledCases:
        return StalledCases(self.engine)

    # systems

    @cached_property
    def revocations(self) -> Revocations:
        return Revocations(self.engine, self.ring, self.ledger)

    @cached_property
    def health(self) -> SystemHealth:
        return SystemHealth(self.engine)

    @cached_property
    def freed_seats(self) -> FreedSeats:
        return FreedSeats(self.engine)

    @cached_property
    def pauses(self) -> Pauses:
        return Pauses(self.engine, self.ring, self.tenant)

    @cached_property
    def figures(self) -> SystemFigures:
        return SystemFigures(self.engine)

    @cached_property
    def outages(self) -> Outages:
        return Outages(self.engine)

    @cached_property
    def wakings(self) -> Wakings:
        return Wakings(self.engine)

    @cached_property
    def tries(self) -> Tries:
        return Tries(self.engine)

    @cached_property
    def paces(self) -> Paces:
        return Paces(self.engine)

    # outgoing

    @cached_property
    def notices(self) -> Notices:
        return Notices(self.engine)

    @cached_property
    def deliveries(self) -> Deliveries:
        return Deliveries(self.engine)

    # privacy, score

    @cached_property
    def erasure(self) -> Erasure:
        return Erasure(self.engine, self.ring, self.inbox)

    @cached_property
    def holds(self) -> Holds:
        return Holds(self.engine, self.ring)

    @cached_property
    def scores(self) -> Scores:
        return Scores(self.engine)

    @cached_property
    def policy_history(self) -> PolicyHistory:
        return PolicyHistory(self.engine)

    # board

    @cached_property
    def views(self) -> CaseViews:
        return CaseViews(self.engine, self.ring)

    @cached_property
    def files(self) -> CaseFiles:
        return CaseFiles(self.engine, self.ring)

    @cached_property
    def sight(self) -> CaseSight:
        return CaseSight(self.engine)

    @cached_property
    def known(self) -> KnownNames:
        return KnownNames(self.engine, partners=self._partners, systems=self._systems)

    @cached_property
    def saved_views(self) -> SavedViews:
        return SavedViews(self.engine, self.ring)

    @cached_property
    def bulk(self) -> BulkReads:
        return BulkReads(self.engine, self.ring)

    # One for each that asks.

    def leases(self, budget: str, asker: str) -> PaceLeases:
        """Turns at one vendor's credential, for one process."""
        return PaceLeases(self.engine, budget, asker)

    def board(self, scope: Scope, *, named: bool) -> BoardReads:
        """Lists of cases as somebody may see them."""
        return BoardReads(self.engine, self.ring, scope, named=named)

    def ledger_tail(self) -> LedgerTail:
        """Follows the ledger from now on."""
        return LedgerTail(self.engine)
