"""Identified data of a case for whoever sees it only with a reason, which is recorded."""

from __future__ import annotations

from collections.abc import Mapping

from lockstep.control.cases.casework import (
    LONGEST_TEXT,
    CaseDesk,
    checked_id,
    living,
    text_of,
    writable,
)
from lockstep.control.refusals import NotAllowedError, NotThereError
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.board.file import CaseFile
from lockstep.storage.cases.acts import ActKind, NewAct
from lockstep.storage.keys.artefacts import ArtefactRow


class CaseNames:
    """Who a case is about, and what people handed in about it."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk

    async def show(self, me: Principal, case_id: str, *, reason: str) -> CaseFile:
        """The case with the leaver's name, for this once.

        Raises:
            NotAllowedError: without the right to identified data.
        """
        found = await self._desk.find(me, case_id)
        if not me.sees_names and not me.may(Permission.IDENTIFIED):
            await self._desk.denied(me, "case.names", found, "", Permission.IDENTIFIED.value)
            raise NotAllowedError("your role does not include names")
        await self._record(me, found, ActKind.NAMES, "", {"reason": text_of(reason)})
        return found

    async def artefact(
        self, me: Principal, case_id: str, artefact_id: str, *, reason: str = ""
    ) -> tuple[ArtefactRow, bytes]:
        """A file that was handed in; each fetching is recorded.

        Raises:
            NotAllowedError: without the right to names, unless identified data are asked for with
                a reason.
        """
        found = await self._desk.find(me, case_id)
        if not me.sees_names and not me.may(Permission.IDENTIFIED):
            await self._desk.denied(me, "case.fetch", found, "", Permission.IDENTIFIED.value)
            raise NotAllowedError("an artefact may name people: your role does not include that")
        if found.subject is None:
            raise NotThereError(artefact_id)
        opened = await self._desk.artefacts.content(case_id, checked_id(artefact_id), found.subject)
        if opened is None:
            raise NotThereError(artefact_id)
        why = writable(reason).strip()[:LONGEST_TEXT] if me.sees_names else text_of(reason)
        document = {"reason": why, "artefact": artefact_id}
        await self._record(me, found, ActKind.FETCH, opened[0].system, document)
        return opened

    async def _record(
        self,
        me: Principal,
        found: CaseFile,
        kind: ActKind,
        system: str,
        document: Mapping[str, object],
    ) -> None:
        case_id = found.view.case.case_id
        act = NewAct(
            case_id,
            system,
            kind,
            me.user_id,
            {"name": me.name, **document},
            token=me.token,
        )
        await self._desk.acts.take(act, living(found))
