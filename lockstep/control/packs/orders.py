"""Evidence packs for people: ordered, listed and handed out within what each of them may see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lockstep.control.packs.export import Exporter, Requester
from lockstep.control.packs.order import Order, OrderError, shows_coming
from lockstep.control.refusals import NotAllowedError, NotThereError
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.board.views import CaseIdError
from lockstep.storage.packs.orders import ExportRow, ExportState
from lockstep.storage.stores import Stores

NOT_IDENTIFIED = "identified"
OUT_OF_SCOPE = "scope"
SEALED = "sealed"


class PackNotAllowedError(NotAllowedError):
    """Somebody may not have this pack; ``why`` is `NOT_IDENTIFIED`, `SEALED` or `OUT_OF_SCOPE`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class FileGoneError(NotThereError):
    """The file cannot be handed out; the text says why, and what to do."""


class PackOrders:
    """The use case. ``folder``: where the jobs put finished packs."""

    def __init__(
        self,
        stores: Stores,
        exporter: Exporter,
        *,
        folder: Path,
    ) -> None:
        self._exporter = exporter
        self._cases = stores.views
        self._folder = folder
        self._log = stores.log
        self.views = stores.export_views

    async def order(self, order: Order, by: Principal) -> str:
        """Order a pack; its id.

        Raises:
            PackNotAllowedError: for names without the right, or what is outside of the scope.
            OrderError: for what cannot be asked for.
        """
        if order.identified and not by.may(Permission.IDENTIFIED):
            raise PackNotAllowedError(NOT_IDENTIFIED)
        if order.case_id:
            order = replace(order, case_id=await self._case(order.case_id, by))
        elif by.partners is not None:
            if not order.partner:
                raise OrderError("partner: choose one of yours")
            if order.partner not in by.partners:
                raise PackNotAllowedError(OUT_OF_SCOPE)
        order = replace(order, coming=by.may(Permission.SEALED))
        if by.partners is None:
            await self._exporter.check_partner(order)
        who = Requester(person=f"{by.name} ({by.user_id})")
        export_id, _ = await self._exporter.order(order, who)
        await self._log.acted(by.user_id, "evidence.order", case_id=order.case_id, token=by.token)
        return export_id

    async def hand_out(self, row: ExportRow, by: Principal) -> Path:
        """The file of a pack that ``by`` has been shown; goes on record.

        Raises:
            PackNotAllowedError: for a pack with names, without the right to names.
            FileGoneError: if there is no file here.
        """
        path = self.file_of(row, by)
        case_id = str(row.parameters["case_id"])
        await self._log.acted(by.user_id, "evidence.download", case_id=case_id, token=by.token)
        return path

    def file_of(self, row: ExportRow, by: Principal) -> Path:
        """Where the file of a pack is; raises as `hand_out`."""
        if row.parameters["identified"] and not by.may(Permission.IDENTIFIED):
            raise PackNotAllowedError(NOT_IDENTIFIED)
        if row.state == ExportState.EXPIRED:
            raise FileGoneError("Packs are kept for a limited time. Order it again.")
        if row.state != ExportState.DONE:
            raise FileGoneError("It is not made yet.")
        if row.file_name is None:
            raise FileGoneError("It was exported at a command line, which has the file.")
        path = self._folder / row.file_name
        if not path.is_file():
            raise FileGoneError("The file lies on another machine's disk.")
        if shows_coming(row.parameters) and not by.may(Permission.SEALED):
            raise PackNotAllowedError(SEALED)
        return path

    def who(self, row: ExportRow) -> tuple[str, str]:
        """Who ordered a pack, and why it names people: as far as the keyring opens it."""
        said = self._exporter.who(row.export_id, row.parameters)
        kind, _, name = row.requested_by.partition(":")
        person = said.get("person") or (f"token {name}" if kind == "token" else "somebody")
        return person, said.get("reason", "")

    async def _case(self, wanted: str, by: Principal) -> str:
        """The whole id of a case in scope."""
        try:
            view = await self._cases.within(by.scope).show(wanted)
        except CaseIdError as error:
            raise OrderError(f"case: {error}") from None
        if view is None:
            raise PackNotAllowedError(OUT_OF_SCOPE)
        return view.case.case_id
