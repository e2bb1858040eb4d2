"""What the command line may not decide alone is decided by somebody who has signed in."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
import typer
from typer.testing import CliRunner

from lockstep.cli.cases import case as commands
from lockstep.cli.cases import pick as picking
from lockstep.cli.cases import requests
from lockstep.cli.main import app
from lockstep.control.cases.desk import Desk, Person
from lockstep.control.refusals import RefusedError
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from lockstep.storage.board.views import CaseViews
from lockstep.storage.intake.inbox import Inbox
from tests.support.casework import TENANT
from tests.web.console.cases.test_picking import OURS, THEIRS, doubtful
from tests.web.console.conftest import COOKIE, Browser, text_of
from tests.web.console.ward import (
    BADGE,
    DOOR,
    HOUR,
    PDF,
    VAULT,
    WHY,
    eventually,
    page,
    request_of,
    soon,
    ward_settings,
    write_tokens,
)

SEALED = (Permission.SEALED,)


@pytest.fixture
def site_settings(temporal, tmp_path, database) -> str:
    write_tokens(tmp_path)
    (tmp_path / "db").write_text(database.app_url)
    return f'{ward_settings(temporal.address)}\n[database]\nmode = "external"\nurl = "file:db"\n'


def _exit(code: int = 0) -> None:
    raise typer.Exit(code)


@pytest.fixture
def type_in(site, monkeypatch):
    """The command as somebody types it; it must not end the process of the tests."""
    for module in (commands, picking):
        monkeypatch.setattr(module, "finish", _exit)
    monkeypatch.setattr(requests, "whoami", lambda: "os:ana")

    async def run(*words: str) -> tuple[int, str]:
        given = [*words, "--config", str(site.folder / "lockstep.toml")]
        env = {"COLUMNS": "200", "NO_COLOR": "1"}
        result = await asyncio.to_thread(CliRunner(env=env).invoke, app, given)
        return result.exit_code, result.output

    return run


@pytest.fixture
async def paula(site):
    return await site.sign_in(Role.APPROVER, more=SEALED, name="Paula Approver")


async def by_link(site) -> Browser:
    """Whoever sits at the command line makes one for themselves."""
    cookie = await site.sessions.use_link(await site.sessions.make_link())
    signed = await site.sessions.read(cookie)
    client = await site.visitor()
    client.cookies.set(COOKIE, cookie)
    return Browser(client, signed.principal, signed.csrf)


async def approve(browser, request_id: str):
    return await browser.post(f"/console/requests/{request_id}/approve", {"reason": "I looked"})


async def test_a_proof_is_agreed_to_by_somebody_who_has_signed_in(ward, paula, type_in):
    """Asked is not done: grade C stands once another person has looked at the proof."""
    case = await ward.stuck()
    proof = ward.site.folder / "proof.pdf"
    proof.write_bytes(PDF)
    words = ("attest", case.case_id, BADGE, "-r", WHY)
    code, said = await type_in(*words, "--artefact", str(proof), "--as", "bea", "--json")
    asked = json.loads(said)
    assert (code, asked["requested"]) == (0, await request_of(ward, case))
    assert (await ward.work.row(case.case_id, BADGE)).outcome is None
    assert (await type_in(*words))[0] == 1, "a word alone must not overtake the request"

    shown = text_of(await paula.get(page(case)))
    assert "asked for by cli:bea, typed by ana" in shown
    assert "nobody proved this name" in shown
    assert (await approve(paula, asked["requested"])).status_code == 303
    row = await ward.work.row(case.case_id, BADGE)
    assert (row.outcome, row.grade) == ("attested", "C")
    assert await ward.acts(case.case_id) == ["case.ask_attest", "case.attest"]
    assert "ana" not in json.dumps([one["actor"] for one in await ward.work.entries(case.case_id)])


async def test_nobody_attests_tier_0_alone(ward, paula, type_in):
    """Not by command, nor by what the command calls; a system of another tier they do."""
    case = await ward.stuck()
    code, said = await type_in("attest", case.case_id[:10], VAULT, "-r", WHY)
    assert code == 0
    assert "asked: a second person decides: the attestation of vault. Nothing is decided" in said
    assert f"{ward.site.settings.origin}{page(case)}" in said
    assert (await ward.work.row(case.case_id, VAULT)).outcome is None
    code, said = await type_in("attest", case.case_id, BADGE, "-r", WHY, "--json")
    assert (code, json.loads(said)) == (0, {"decision": "attest", "outcome": "attested"})
    assert (await ward.work.row(case.case_id, BADGE)).grade == "D"

    await approve(paula, await request_of(ward, case))
    row = await ward.work.row(case.case_id, VAULT)
    assert (row.outcome, row.grade) == ("attested", "D")


async def test_whoever_typed_it_does_not_agree_to_it(ward, site, type_in):
    """As far as is known: by key, name or address of the system's user, or by a link made there."""
    case = await ward.stuck()
    code, _ = await type_in("waive", case.case_id, DOOR, "-r", WHY, "--until", soon(days=2))
    assert code == 0
    request_id = await request_of(ward, case)
    ana = [
        await site.sign_in(Role.APPROVER, name="A. Cruz", keys=[Key(KeyKind.USERNAME, "ana")]),
        await site.sign_in(Role.APPROVER, name="Ana"),
        await site.sign_in(Role.APPROVER, name="ana@example.com"),
    ]
    ana.append(await by_link(site))
    for browser in ana:
        assert "Approve and carry out" not in (await browser.get(page(case))).text
        assert (await approve(browser, request_id)).status_code == 403
    bea = await site.sign_in(Role.APPROVER, name="Bea")
    assert (await approve(bea, request_id)).status_code == 303
    assert (await ward.work.row(case.case_id, DOOR)).outcome == "waived"
    [decision] = await ward.decisions(case.case_id)
    assert decision["data"]["second_person"] not in {"", decision["actor"]["ref"]}


async def test_a_dismissal_is_prolonged_by_a_request(ward, paula, type_in):
    """To later, and off: asked; sooner: done by one."""
    case = await ward.open(due=2 * HOUR, kind=TerminationKind.INVOLUNTARY)

    async def settle():
        while await ward.dispatcher.drain_once():
            pass
        return await ward.work.case(case.case_id)

    later = f"{soon(days=5)}Z"
    code, said = await type_in(
        "amend", case.case_id, "--access-ends-at", later, "-r", WHY, "--json"
    )
    assert (code, (await settle())["cutoff_at"]) == (0, case.cutoff_at)
    assert (await approve(paula, json.loads(said)["requested"])).status_code == 303
    assert (await settle())["cutoff_at"] > case.cutoff_at + timedelta(days=4)
    code, said = await type_in("rescind", case.case_id, "-r", WHY)
    assert (code, (await settle())["status"]) == (0, "scheduled")
    assert "Nothing is decided yet" in said
    assert (await approve(paula, await request_of(ward, case))).status_code == 303
    assert (await settle())["status"] == "rescinded"


async def until_asked(ward, case) -> str:
    async def there() -> bool:
        query = "select from requests where case_id = :c and state = 'pending'"
        return bool(await ward.sql(query, c=case.case_id))

    await eventually(there, "something is asked for")
    return await request_of(ward, case)


async def test_a_command_waits_until_what_it_asked_for_is_done(ward, paula, type_in):
    """Approved and carried out is 0; refused is 1, with who and why."""
    case = await ward.stuck()
    words = ("-r", WHY, "--wait", "--timeout", "60")
    waiting = asyncio.create_task(type_in("attest", case.case_id, VAULT, *words))
    await approve(paula, await until_asked(ward, case))
    code, said = await waiting
    assert code == 0
    assert "asked: a second person decides" in said
    assert "It was approved. By Paula Approver." in said
    assert (await ward.work.row(case.case_id, VAULT)).outcome == "attested"

    end = ("--until", soon(days=2), "--json")
    waiting = asyncio.create_task(type_in("waive", case.case_id, DOOR, *words, *end))
    refused = f"/console/requests/{await until_asked(ward, case)}/refuse"
    await paula.post(refused, {"reason": "the badge office is open"})
    code, said = await waiting
    told = json.loads(said)
    assert (code, told["state"], told["done"]) == (1, "refused", False)
    assert "the badge office is open" in told["says"]


async def test_a_command_that_nobody_answers_ends_and_the_request_can_be_withdrawn(
    ward, site, type_in
):
    """Exit 1 when the time is over, and the request stands; whoever asked takes it back, once."""
    case = await ward.stuck()
    ask = ("attest", case.case_id, VAULT, "-r", WHY)
    code, said = await type_in(*ask, "--wait", "--timeout", "1")
    request_id = await request_of(ward, case)
    assert code == 1
    assert "Not done within 1 s. What was asked for stands" in said
    assert f"lockstep request withdraw {request_id}" in said

    monkeyed = await type_in("request", "withdraw", request_id, "--as", "ana")
    assert monkeyed == (0, f"Request {request_id} is withdrawn: nobody decides it any more.\n")
    code, said = await type_in("request", "withdraw", request_id)
    assert code == 1
    assert "It was withdrawn." in said
    assert (await type_in("request", "withdraw", "rnothere"))[0] == 1

    await type_in(*ask)
    second = await request_of(ward, case)
    ana = await site.sign_in(Role.OPERATOR, name="Ana")
    bea = await site.sign_in(Role.OPERATOR, name="Bea")
    button = f"/console/requests/{second}/withdraw"
    assert button in (await ana.get(page(case))).text
    assert button not in (await bea.get(page(case))).text
    assert (await bea.post(button)).status_code == 403
    assert (await ana.post(button)).status_code == 303
    assert not (await ward.sql("select from requests where state = 'pending'"))


async def test_another_name_on_the_command_line_withdraws_nothing(ward, type_in, monkeypatch):
    """The user id of the command line is everybody's there; the name is what is known."""
    case = await ward.stuck()
    await type_in("attest", case.case_id, VAULT, "-r", WHY)
    monkeypatch.setattr(requests, "whoami", lambda: "os:bob")
    code, said = await type_in("request", "withdraw", await request_of(ward, case))
    assert code == 1
    assert "was not asked for here by cli:bob" in said


async def test_accounts_are_shown_and_picked_by_command(ward, type_in):
    """Side by side; only what is shown is picked, and that none is theirs has to be said."""
    case = await doubtful(ward)
    _, shown = await type_in("case", "show", case.case_id)
    assert "whose are these accounts? Nobody touches them." in shown
    assert OURS in shown
    assert THEIRS in shown
    assert f"lockstep pick {case.case_id} {DOOR} ACCOUNT... --reason WHY" in shown
    pick = ("pick", case.case_id, DOOR)
    assert (await type_in(*pick, "-r", WHY))[0] == 2
    assert (await type_in(*pick, OURS, "--none", "-r", WHY))[0] == 2
    code, said = await type_in(*pick, "acc-nobodys", "-r", WHY)
    assert code == 1
    assert "there is no account acc-nobodys among those in doubt" in said
    assert await ward.decisions(case.case_id) == []
    code, said = await type_in(*pick, OURS, "-r", WHY)
    assert code == 0
    assert f"pick recorded; the leaver's: {OURS}; not: {THEIRS}" in said
    await ward.until(case, DOOR, "revoked")
    code, said = await type_in(*pick, OURS, "-r", WHY)
    assert code == 1
    assert f"no account of {DOOR} is in doubt" in said


async def test_a_pick_that_takes_two_is_asked_for(ward, site, type_in, paula):
    """Where settings say so, the command asks like the page; picked is what was agreed to."""
    case = await doubtful(ward)
    config = site.folder / "lockstep.toml"
    config.write_text(config.read_text() + '\n[console]\npick_in_pairs = ["1"]\n')
    code, said = await type_in("pick", case.case_id, DOOR, OURS, "-r", WHY, "--json")
    assert (code, json.loads(said)["requested"]) == (0, await request_of(ward, case))
    assert await ward.decisions(case.case_id) == []
    assert (await approve(paula, await request_of(ward, case))).status_code == 303
    await ward.until(case, DOOR, "revoked")


@pytest.mark.parametrize("command", ["attest", "waive", "amend", "rescind"])
async def test_a_typed_second_person_is_refused(site, type_in, command):
    """With what to do instead."""
    more = {"attest": [DOOR], "waive": [DOOR, "--until", "2027-01-01"]}.get(command, [])
    code, said = await type_in(command, "c1", *more, "-r", WHY, "--second", "bea")
    assert code == 2
    assert "proves nobody. Leave it out" in said


async def test_a_leaver_decides_nothing_about_themselves(ward, type_in):
    """As far as is known: by the user's name."""
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "W-9"), Key(KeyKind.USERNAME, "ana")))
    case = await ward.open("W-9", due=2 * HOUR, keys=keys)
    code, said = await type_in("rescind", case.case_id, "-r", WHY)
    assert code == 1
    assert "nobody decides in a case about themselves" in said
    assert await ward.sql("select 1 from requests") == []


async def test_the_desk_itself_refuses_one_person_for_tier_0(ward):
    """Whichever way leads there, and whatever the settings say."""
    case = await ward.stuck()
    desk = Desk(
        tenant=TENANT,
        views=CaseViews(ward.site.engine, ward.site.ring),
        inbox=Inbox(ward.site.engine, ward.site.ring),
        rule=ward.site.settings.to_policy().cutoff,
        client=ward.client,
    )
    with pytest.raises(RefusedError, match="nobody attests it alone"):
        await desk.decide(case.case_id, VAULT, DecisionKind.ATTEST, Person("os:ana", WHY))
