"""The first page answers at once although a hundred thousand cases lie behind it."""

from __future__ import annotations

import time

import psycopg
import pytest
from sqlalchemy.engine import make_url

from lockstep.domain.rights import Role
from tests.support.board import HOUR, stuck
from tests.support.casework import EMAIL, Casework
from tests.web.console.conftest import Browser, Site

ALL, OPEN, SYSTEMS = 100_000, 1_000, 8
BOUND_S = 0.2
MOST_TIMES = 50

_FILL = (
    # Nothing here is checked row by row: a million rows must be there within seconds.
    "set session_replication_role = replica",
    f"""
    insert into cases select made.* from cases c, generate_series(1, {ALL}) n,
    lateral jsonb_populate_record(c, jsonb_build_object(
        'case_id', 'c0' || lpad(n::text, 6, '0'),
        'spell_index', '\\x' || md5(n::text),
        'identity_index', '\\x' || md5(n::text),
        'partner', 'partner-' || n % 7,
        'site', 'site-' || n % 23,
        'kind', case when n % 10 = 0 then 'involuntary' else 'voluntary' end,
        'status', case when n <= {OPEN} then 'revoking' when n % 50 = 0 then 'scheduled'
            else 'closed' end,
        'opened_at', now() - n * interval '5 min',
        'cutoff_at', case when n % 50 = 0 and n > {OPEN} then now() + interval '3 days'
            else now() - n * interval '4 min' end,
        'closed_at', case when n > {OPEN} and n % 50 <> 0
            then now() - n * interval '3 min' end)) made
    """,
    f"""
    insert into revocations select made.* from cases c, generate_series(1, {SYSTEMS}) s,
    (select r from revocations r limit 1) as one,
    lateral jsonb_populate_record(one.r, jsonb_build_object(
        'case_id', c.case_id, 'system', 'system-' || s, 'tier', (s % 2)::text,
        'state', case when c.status = 'closed' then 'settled'
            when c.status = 'scheduled' then 'scheduled'
            when s <= 3 then 'needs_person' when s <= 5 then 'retrying' else 'settled' end,
        'fault', case when c.status = 'revoking' then 'permission_missing' end,
        'warn_at', c.cutoff_at + interval '30 min',
        'due_at', c.cutoff_at + s * interval '1 hour')) made
    where c.case_id like 'c0%'
    """,
    """
    insert into case_keys select case_id, decode(md5(case_id || s), 'hex')
    from cases, generate_series(1, 3) s where case_id like 'c0%'
    """,
    "analyze cases, revocations, case_keys",
)


@pytest.fixture
async def browser(site: Site, database) -> Browser:
    """An operator of an installation that has run for a year."""
    work = Casework(site.engine, site.ring)
    await work.adopt()
    await stuck(work, "W-1", due=HOUR)
    url = make_url(database.superuser_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        for statement in _FILL:
            connection.execute(statement.encode())
    return await site.sign_in(Role.OPERATOR)


async def _fastest(browser: Browser, path: str) -> float:
    """Seconds of the fastest: others run beside, and their time is not ours.

    It is asked for again until it was quick enough, or was slow so often that it is no accident.
    """
    taken = []
    for _ in range(MOST_TIMES + 1):
        began = time.perf_counter()
        answer = await browser.get(path)
        taken.append(time.perf_counter() - began)
        assert answer.status_code == 200
        if min(taken[1:], default=BOUND_S) < BOUND_S:
            break
    return min(taken[1:])  # the first one compiles templates and statements


@pytest.mark.timeout(600)
async def test_pages_are_quick_with_100000_cases(browser):
    """Now, a filtered list, all cases and a search: each below 200 ms of the server's time."""
    search = await browser.post("/console/search", {"text": EMAIL})
    paths = {
        "now": "/console/",
        "partner": "/console/?partner=partner-3&system=system-2",
        "all": "/console/?state=any",
        "closed": "/console/?state=closed_today",
        "search": search.headers["location"],
    }
    taken = {name: await _fastest(browser, path) for name, path in paths.items()}

    assert max(taken.values()) < BOUND_S, taken
