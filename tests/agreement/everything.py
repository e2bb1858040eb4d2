"""Every place that tells a figure, held against every other, one after the other."""

from __future__ import annotations

from tests.agreement.checks import (
    Asked,
    clocks_agree,
    facts_agree,
    scores_agree,
    shown_clocks_agree,
    told_by_rows,
)
from tests.agreement.lies import lies_are_refuted
from tests.agreement.packs import export, pack_agrees, verifies, workbook_agrees
from tests.agreement.stage import Stage


async def everything_agrees(stage: Stage, asked: Asked, *, identified: bool) -> list[str]:
    """Fail at the first place that says something else than the rows; the message names it.

    Call it when the stage's story is over and sealed. The pack's files in which the verifier was
    lied to, and noticed, are returned.
    """
    told = await told_by_rows(stage)
    await facts_agree(stage, told)
    clocks_agree(told)
    shown_clocks_agree(told)
    served = await scores_agree(stage, told, asked)
    pack = await export(stage, told, asked, identified=identified)
    pack_agrees(pack, told, asked, served)
    workbook_agrees(pack, stage)
    verifies(pack, stage, identified=identified)
    return lies_are_refuted(pack, stage)
