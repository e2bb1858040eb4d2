"""What the database says, read directly and not through the product's own views."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy.engine import make_url

from tests.e2e.processes import eventually

Row = dict[str, Any]


class Books:
    """Reads with a connection per question, so that a killed server disturbs nothing here."""

    def __init__(self, url: str) -> None:
        plain = make_url(url).set(drivername="postgresql")
        self.conninfo = plain.render_as_string(hide_password=False)

    async def ask(self, query: str, **values: object) -> list[Row]:
        connection = await psycopg.AsyncConnection.connect(
            self.conninfo, autocommit=True, row_factory=dict_row, connect_timeout=30
        )
        async with connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall()

    async def try_ask(self, query: str, **values: object) -> list[Row]:
        """Like `ask`; nothing while the server is away."""
        try:
            return await self.ask(query, **values)
        except psycopg.Error:
            return []

    async def case_of(self, event_id: str) -> str:
        """The case that an event led to; empty while there is none."""
        query = "select case_id from inbox where dedupe_key = %(event)s and case_id is not null"
        rows = await self.try_ask(query, event=event_id)
        return rows[0]["case_id"] if rows else ""

    async def under_way(self, event_id: str) -> str:
        """The event's case once a vendor was attempted and nothing is closed yet; else empty."""
        query = """
            select i.case_id from inbox i
              join cases c on c.case_id = i.case_id and c.status = 'revoking'
             where i.dedupe_key = %(event)s and exists (
                   select 1 from ledger_entries l
                    where l.case_id = i.case_id and l.kind = 'revocation:attempt')
        """
        rows = await self.try_ask(query, event=event_id)
        return rows[0]["case_id"] if rows else ""

    async def closed(
        self, event_ids: Sequence[str], *, within_s: float, poll_s: float = 0.2
    ) -> list[Row]:
        """The events' cases, once every one is closed."""
        query = """
            select c.* from cases c
             where c.case_id in (select case_id from inbox where dedupe_key = any(%(events)s))
        """
        last: list[Row] = []

        async def all_closed() -> list[Row]:
            nonlocal last
            last = await self.try_ask(query, events=list(event_ids)) or last
            done = [row for row in last if row["status"] == "closed"]
            return done if len(done) == len(event_ids) else []

        try:
            return await eventually(
                all_closed, within_s=within_s, what="every case closed", poll_s=poll_s
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.plight(event_ids, last)}") from None

    async def plight(self, event_ids: Sequence[str], cases: Sequence[Row]) -> str:
        """Why not everything is closed, for the message of a failing test."""
        open_ids = [row["case_id"] for row in cases if row["status"] != "closed"]
        doors = await self.try_ask(
            "select case_id, system, state, round, attempts, fault, fault_text, retry_at"
            " from revocations where case_id = any(%(ids)s) and state <> 'settled'",
            ids=open_ids,
        )
        events = await self.try_ask(
            "select dedupe_key, state, attempts, error from inbox"
            " where dedupe_key = any(%(events)s) and state <> 'done'",
            events=list(event_ids),
        )
        lines = [f"{len(cases)} cases of {len(event_ids)}, {len(open_ids)} open"]
        return "\n".join(map(str, [*lines, *open_ids[:5], *doors[:10], *events[:10]]))

    async def entries(self, case_id: str) -> list[Row]:
        """The case's ledger entries, decoded."""
        query = "select body from ledger_entries where case_id = %(case)s order by id"
        return [json.loads(row["body"]) for row in await self.ask(query, case=case_id)]

    async def doors(self, case_id: str) -> dict[str, Row]:
        """The case's systems by name."""
        rows = await self.ask("select * from revocations where case_id = %(c)s", c=case_id)
        return {row["system"]: row for row in rows}


def kinds(entries: Sequence[Row]) -> Counter[str]:
    """How often each kind of entry stands."""
    return Counter(entry["kind"] for entry in entries)


def outcomes(entries: Sequence[Row], system: str) -> list[Row]:
    """The outcome entries of one system."""
    return [e for e in entries if e["kind"] == "revocation:outcome" and e["system"] == system]
