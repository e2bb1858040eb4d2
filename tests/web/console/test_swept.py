"""What the comparison of cases with workflows found is shown wherever people look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from lockstep.cli.runtime.doctor import workflows_check
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.notices import NoticeKind
from lockstep.domain.rights import EVERYTHING, Role, Scope
from lockstep.domain.sweeping import Loss
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.runtime.sweeping import Sweeps
from tests.support.casework import Casework, termination
from tests.web.console.conftest import Site, text_of

PARTNER = Scope(partners=frozenset({"northwind"}))


async def lost(work: Casework, case_id: str, loss: Loss) -> None:
    """As a sweep finds it, before a worker has taken it up again."""
    sweeps = Sweeps(work.engine)
    sweeps.young_s = 0
    if loss.is_gone:
        assert await sweeps.claim(case_id, loss) is not None
    else:
        await sweeps.astray({case_id: loss})


async def facts(work: Casework) -> list[tuple[str, str]]:
    found = await Notices(work.engine).about_cases(datetime.now(UTC))
    return [(fact.case_id, fact.system) for fact in found if fact.kind is NoticeKind.LOST]


async def test_a_lost_workflow_is_shown_until_and_after_the_case_is_taken_up(
    site: Site, work: Casework
) -> None:
    """On the page and by doctor; a notice stays true while somebody must find out who did it."""
    case = await work.open()
    await lost(work, case.case_id, Loss.TERMINATED)
    olivia = await site.sign_in(Role.OPERATOR)

    page = text_of(await olivia.get("/console/"))
    assert "1 workflow is not as the database says." in page
    assert "its workflow was terminated" in page
    check = workflows_check(await Sweeps(work.engine).read())
    assert (check.level, case.case_id in check.says) == ("problem", True)

    await Sweeps(work.engine).restarted(case.case_id, Loss.TERMINATED)
    page = text_of(await olivia.get("/console/"))
    assert "is not as the database says" not in page
    assert "1 case was taken up again within a week" in page
    assert workflows_check(await Sweeps(work.engine).read()).level == "warning"
    assert await facts(work) == [(case.case_id, "")]


async def test_what_nobody_has_compared_is_not_called_well(site: Site, work: Casework) -> None:
    """Silence is not health."""
    await work.open()
    async with work.engine.begin() as connection:
        await connection.execute(text("delete from task_looks where about = 'workflows'"))
    olivia = await site.sign_in(Role.OPERATOR)
    page = text_of(await olivia.get("/console/"))
    assert "Whether every case has its workflow is not known." in page
    assert "Nothing needs you" not in page
    assert workflows_check(await Sweeps(work.engine).read()).level == "warning"


async def test_a_coming_dismissal_whose_workflow_is_lost_shows_to_nobody(
    site: Site, work: Casework
) -> None:
    """That there is something is told; which case is for those who may know of it."""
    said = termination("W-9", kind=TerminationKind.INVOLUNTARY)
    case = await work.open(said, due=timedelta(days=1))
    await lost(work, case.case_id, Loss.MISSING)
    olivia = await site.sign_in(Role.OPERATOR)

    assert case.case_id not in text_of(await olivia.get("/console/"))
    assert (await Sweeps(work.engine).read(PARTNER)).rows == ()
    assert len((await Sweeps(work.engine).read(EVERYTHING)).rows) == 1
    [(case_id, about)] = await facts(work)
    assert (case_id, "--sealed" in about) == ("", True)


async def test_a_workflow_of_no_case_is_shown_to_who_sees_everything(work: Casework) -> None:
    """It is of no partner."""
    await lost(work, "cnobody", Loss.UNKNOWN)
    assert (await Sweeps(work.engine).read(PARTNER)).open == ()
    [row] = (await Sweeps(work.engine).read(EVERYTHING)).open
    assert row.loss is Loss.UNKNOWN
    assert [case_id for case_id, _ in await facts(work)] == [""]
