"""`lockstep access`: who may use Lockstep itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from lockstep.cli import render
from lockstep.cli.context import (
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
    whoami,
)
from lockstep.control.people.api_tokens import (
    DEFAULT,
    LONGEST,
    ApiTokenDesk,
    Wish,
)
from lockstep.control.people.sessions import COMMAND_LINE, SignedIn
from lockstep.control.requests.command_line import typed_principal
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.rights import Permission, Role
from lockstep.settings import Settings
from lockstep.storage.people.api_tokens import ApiTokenRow

access_app = typer.Typer(no_args_is_help=True, help="Who may use Lockstep itself.")


@access_app.command("link")
def link(config: ConfigOption = None) -> None:
    """Print a link that signs you in as the local administrator, once, within ten minutes."""
    settings = settings_or_die(config)
    if not settings.one_time_links:
        die("one-time links work only without [oidc] and with web.bind on this machine")
    out.print(run(new_link(settings)), markup=False, soft_wrap=True)


async def new_link(settings: Settings) -> str:
    """A one-time link to the console."""
    async with opened(settings) as context:
        secret = await context.sessions.make_link()
    return f"{settings.origin}/console/sign-in/link?key={secret}"


@access_app.command("sessions")
def sessions(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List who is signed in to the console."""
    settings = settings_or_die(config)

    async def work() -> list[SignedIn]:
        async with opened(settings) as context:
            found = context.sessions
            return await found.standing(by=COMMAND_LINE)

    found = run(work())
    if as_json:
        print_json([_session_data(each) for each in found])
    elif found:
        out.print(_session_table(found))
    else:
        out.print("Nobody is signed in.")


@access_app.command("end")
def end_sessions(
    user: Annotated[str, typer.Argument(help="User id, from `lockstep access sessions`.")],
    config: ConfigOption = None,
) -> None:
    """End every session of somebody."""
    settings = settings_or_die(config)

    async def work() -> int:
        async with opened(settings) as context:
            found = context.sessions
            return await found.end_all_of(user, by=COMMAND_LINE)

    ended = run(work())
    if not ended:
        die("nobody of this id is signed in: see `lockstep access sessions`")
    out.print(f"{ended} {'session' if ended == 1 else 'sessions'} ended.")


@access_app.command("tokens")
def tokens(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the API tokens that were made here; those of the settings file are not among them."""
    settings = settings_or_die(config)

    async def work() -> list[ApiTokenRow]:
        async with _desk(settings) as desk:
            return await desk.all(by=COMMAND_LINE)

    found = run(work())
    if as_json:
        print_json([_token_data(row) for row in found])
    elif found:
        out.print(_token_table(found))
    else:
        out.print("No tokens. Make one with `lockstep access token-new --help`.")


@access_app.command("token-new")
def new_token(
    label: Annotated[str, typer.Argument(help="What it is for, such as grafana.")],
    role: Annotated[list[Role] | None, typer.Option(help="Role; may be repeated.")] = None,
    permission: Annotated[
        list[Permission] | None, typer.Option(help="Single permission; may be repeated.")
    ] = None,
    partner: Annotated[
        list[str] | None, typer.Option(help="Only this partner's cases; may be repeated.")
    ] = None,
    every_partner: Annotated[
        bool, typer.Option("--every-partner", help="The cases of every partner.")
    ] = False,
    site: Annotated[
        list[str] | None,
        typer.Option(help="Reports leavers of this site only; may be repeated."),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=LONGEST.days, help="How long it lasts.")
    ] = DEFAULT.days,
    owner: Annotated[
        list[str] | None,
        typer.Option(
            help="Worker id, e-mail or user name of whoever it belongs to; may be repeated. It "
            "ends with that person's access."
        ),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make an API token. It is printed once and kept nowhere."""
    settings = settings_or_die(config)
    if every_partner == bool(partner):
        die("give either --partner or --every-partner", code=UNUSABLE)
    wish = Wish(
        label=label,
        roles=frozenset(role or ()),
        more=frozenset(permission or ()),
        partners=None if every_partner else frozenset(partner or ()),
        lifetime=timedelta(days=days),
        sites=frozenset(site) if site else None,
        keys=tuple(Key(kind, text) for text in owner or () for kind in _OWNER),
    )

    async def work() -> tuple[str, ApiTokenRow]:
        async with _desk(settings) as desk:
            return await desk.make(wish, by=COMMAND_LINE)

    secret, row = run(work())
    if as_json:
        print_json({"token": secret, **_token_data(row)})
    else:
        out.print(secret, markup=False, soft_wrap=True)


@access_app.command("token-end")
def end_token(
    token_id: Annotated[str, typer.Argument(help="Id, from `lockstep access tokens`.")],
    config: ConfigOption = None,
) -> None:
    """End an API token at once."""
    settings = settings_or_die(config)

    async def work() -> None:
        async with _desk(settings) as desk:
            await desk.end(token_id, by=COMMAND_LINE)

    run(work())
    out.print("The token was ended.")


@access_app.command("lift")
def lift(
    case_id: Annotated[str, typer.Argument(help="The case whose leaver was hired again.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept encrypted.")],
    config: ConfigOption = None,
) -> None:
    """Let a leaver who was hired again sign in to Lockstep. What ended stays ended."""
    settings = settings_or_die(config)

    async def work() -> int:
        async with opened(settings) as context:
            me = typed_principal(context.stores.ring, settings.tenant, given="", user=whoami())
            by = replace(COMMAND_LINE, own_keys=me.own_keys)  # nobody lets themselves in again
            return await context.bars.lift(case_id, reason=reason, by=by)

    run(work())
    out.print("The bar was lifted.")


_OWNER = (KeyKind.WORKER_ID, KeyKind.EMAIL, KeyKind.USERNAME)


@contextlib.asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[ApiTokenDesk]:
    async with opened(settings) as context:
        yield context.tokens


def _token_data(row: ApiTokenRow) -> dict[str, Any]:
    data = asdict(row)
    del data["key_indexes"]
    return {**data, "has_owner": bool(row.key_indexes)}


def _session_data(each: SignedIn) -> dict[str, Any]:
    who = each.principal
    return {
        "user_id": who.user_id,
        "name": who.name,
        "roles": sorted(who.roles),
        "partners": None if who.partners is None else sorted(who.partners),
        "since": each.since,
        "seen_at": each.seen_at,
        "sessions": each.sessions,
    }


def _session_table(found: list[SignedIn]) -> Table:
    table = _table("user", "name", "roles", "last seen", "browsers")
    for each in found:
        who = each.principal
        table.add_row(
            who.user_id,
            escape(who.name),
            ", ".join(sorted(who.roles)),
            render.instant(each.seen_at),
            str(each.sessions),
        )
    return table


def _token_table(found: list[ApiTokenRow]) -> Table:
    table = _table("id", "for", "may", "partners", "sites", "last use", "expires", "ended")
    for row in found:
        partners = "every" if row.partners is None else ", ".join(row.partners)
        table.add_row(
            row.token_id,
            escape(row.label),
            ", ".join(row.permissions),
            escape(partners),
            escape("every" if row.sites is None else ", ".join(row.sites)),
            render.instant(row.used_at),
            render.instant(row.expires_at),
            render.instant(row.ended_at),
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table
