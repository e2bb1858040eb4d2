"""`lockstep doctor`: what is reachable, misconfigured or missing, per system, and what to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from connectors.openid.examine import examine as examine_provider
from connectors.openid.provider import OpenIdProvider
from connectors.registry import MANUAL
from lockstep.cli.context import (
    FAILED,
    ConfigOption,
    JsonOption,
    database_url,
    finish,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.cli.ledger.commands import head_file
from lockstep.cli.ledger.view import ledger_is_late, ledger_line
from lockstep.cli.render import instant, uncompared_line
from lockstep.cli.runtime.checks import Check, print_checks, systems_table
from lockstep.cli.runtime.doctor_host import clock_checks, port_checks, room_checks
from lockstep.cli.runtime.doctor_systems import PATIENCE_S, checks_of, paces, system_checks
from lockstep.composition import Root, open_stores
from lockstep.contracts import names
from lockstep.control.cases.wording import afterwards_words, outage_words
from lockstep.control.people.oidc import CALLBACK
from lockstep.control.runtime.stalled import Found, ask
from lockstep.control.runtime.temporal import connect
from lockstep.domain.counting import counted
from lockstep.domain.rights import EVERYTHING
from lockstep.embedded.runstate import running_pid
from lockstep.settings import Settings, SettingsError, check_settings
from lockstep.storage.engine.database import StorageError, check_fitness, create_engine
from lockstep.storage.engine.direct import connect as connect_directly
from lockstep.storage.engine.direct import refuse_shared_sessions
from lockstep.storage.engine.migrate import newest_revision
from lockstep.storage.intake.refused_events import RECENT, TroubledEvents
from lockstep.storage.ledger.state import read_state
from lockstep.storage.runtime.sweeping import KEPT, Swept
from lockstep.storage.score.facts_proof import (
    TOLD_FOR,
    UNPROVED,
    Changed,
    FactsState,
    changed_facts,
)
from lockstep.storage.systems.outages import Outage

_START = "Start `lockstep worker`."
_SHOWN = 5


def doctor(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Check settings, database, Temporal, workers and every system; exit 1 if anything is wrong."""
    settings = settings_or_die(config, level="error")
    checks = run(examine(settings))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        print_checks(checks)
        if sum(bool(check.took_s) for check in checks) > 1:
            out.print()
            out.print(systems_table(checks))
        out.print(f"\n{last_line(checks)}")
    finish(FAILED if any(check.level == "problem" for check in checks) else 0)


async def examine(settings: Settings) -> list[Check]:
    """Everything that can be checked from here; never raises for what it finds."""
    checks = [Check("settings", "problem", problem) for problem in check_settings(settings)]
    checks = checks or [Check("settings", "ok", "valid; every secret can be read")]
    home = settings.path(settings.data_dir)
    if "embedded" in {settings.database.mode, settings.temporal.mode}:
        if (pid := running_pid(home)) is not None:
            checks.append(Check("lockstep up", "ok", f"running as process {pid}"))
        else:
            checks.append(Check("lockstep up", "problem", "not running", "Start `lockstep up`."))
    checks.extend(room_checks(settings))
    checks.extend(keyring_checks(settings))
    checks.append(await _database(settings))
    checks.extend(await clock_checks(settings))
    checks.extend(await _waiting(settings))
    checks.extend(await _workflows(settings))
    checks.append(await asyncio.to_thread(_ledger, settings))
    checks.extend(await _facts(settings))
    checks.extend(await _temporal(settings))
    checks.extend(port_checks(settings))
    checks.extend(await _provider(settings))
    kept = await paces(settings)
    systems = await asyncio.gather(
        *(system_checks(settings, name, kept.get(name)) for name in sorted(settings.systems))
    )
    return checks + [check for found in systems for check in found]


def keyring_checks(settings: Settings) -> list[Check]:
    """What the keyring still allows; one that cannot be read is among the settings' problems."""
    try:
        ring = settings.open_keyring()
    except SettingsError:
        return []
    if not ring.unbound:
        return [Check("keyring", "ok", "payloads are read only in the case that they belong to")]
    says = "Temporal's payloads are also read in the old form, which belongs to no case"
    fix = 'Once no case of before is open, add "unbound": [] (docs/operations.md, Keys)'
    return [Check("keyring", "warning", says, fix)]


async def _database(settings: Settings) -> Check:
    try:
        engine = create_engine(database_url(settings), pool_size=1, application="lockstep-doctor")
    except (StorageError, SettingsError) as error:
        return Check("database", "problem", str(error))
    try:
        async with engine.connect() as connection:
            await check_fitness(connection, expected_revision=newest_revision())
    except StorageError as error:
        return Check("database", "problem", str(error))
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0][:200]
        fix = "Check database.url and that it is running."
        if settings.database.mode == "embedded":
            fix = "Our own PostgreSQL runs while `lockstep up` does: start that, or see its log."
        return Check("database", "problem", reason, fix)
    finally:
        await engine.dispose()
    try:
        await asyncio.to_thread(refuse_shared_sessions, database_url(settings))
    except StorageError as error:
        return Check("database", "problem", str(error))
    except psycopg.Error as error:
        says = f"connections fail ({type(error).__name__}) where others do not"
        return Check("database", "problem", says, "See the log of the pooler, or of the server.")
    return Check("database", "ok", "reachable, migrated; the application cannot change the ledger")


async def _waiting(settings: Settings) -> list[Check]:
    """What waits in the database: HR's events, and for systems; nothing where it does not say."""
    try:
        engine = create_engine(database_url(settings), pool_size=1, application="lockstep-doctor")
    except (StorageError, SettingsError):
        return []
    try:
        stores = open_stores(settings, engine, None)
        found = await stores.refused_events.read(EVERYTHING, limit=1)
        outages = await stores.outages.standing(EVERYTHING)
    except (SQLAlchemyError, OSError):
        return []
    finally:
        await engine.dispose()
    return _event_checks(found) + [outage_check(outage) for outage in outages]


def outage_check(outage: Outage) -> Check:
    """A system whose own fault holds up many."""
    who = counted(outage.leavers, "leaver waits", "leavers wait")
    says = f"{who} because of a fault of the system, since {instant(outage.since)}"
    fix = f"{outage_words(outage)} {afterwards_words(outage)}"
    return Check(f"system {outage.system}", "problem", says, fix)


def _event_checks(found: TroubledEvents) -> list[Check]:
    checks = []
    if found.waiting_since is not None:
        says = f"{found.waiting:,} of HR's events wait since {instant(found.waiting_since)}"
        fix = "A worker carries them out once it runs and Temporal answers."
        checks.append(Check("events", "problem", says, fix))
    if found.total:
        says = f"{found.total:,} of HR's events not carried out, or not in full"
        fix = "See `lockstep events`; mend it at the sender, or by hand."
        checks.append(Check("events", "warning", says, fix))
    says = f"none was refused within {RECENT.days} days, and none waits"
    return checks or [Check("events", "ok", says)]


async def _workflows(settings: Settings) -> list[Check]:
    """Whether every case has its workflow; nothing where the database cannot be asked."""
    try:
        engine = create_engine(database_url(settings), pool_size=1, application="lockstep-doctor")
    except (StorageError, SettingsError):
        return []
    try:
        return [workflows_check(await open_stores(settings, engine, None).sweeps.read())]
    except (SQLAlchemyError, OSError):
        return []
    finally:
        await engine.dispose()


def workflows_check(swept: Swept) -> Check:
    """What the comparison of cases with workflows found, coming dismissals among it, by id."""
    part = "workflows"
    if swept.open:
        some = "; ".join(f"{row.workflow_id}: {row.loss.words}" for row in swept.open[:_SHOWN])
        rest = len(swept.open) - _SHOWN
        more = f" and {rest:,} more" if rest > 0 else ""
        fix = "A worker takes cases up again; see its log, and `lockstep stuck`."
        return Check(part, "problem", f"{some}{more}", fix)
    if not swept.is_known:
        fix = "Start `lockstep worker`; see Temporal above."
        return Check(part, "warning", uncompared_line(swept), fix)
    if swept.mended:
        count = counted(len(swept.mended), "case was", "cases were")
        why = Counter(row.loss.words for row in swept.mended).most_common(1)[0][0]
        says = f"{count} taken up again within {KEPT.days} days: {why}"
        fix = "Find out who or what did it: Temporal's port and data are for Lockstep alone."
        return Check(part, "warning", says, fix)
    return Check(part, "ok", "every case that needs a workflow has one")


def _ledger(settings: Settings) -> Check:
    part = "ledger"
    try:
        key = settings.open_signer().verifier
        with connect_directly(database_url(settings), application="lockstep-doctor") as link:
            state = read_state(link, settings.ledger_origin, key=key, file=head_file(settings))
    except (StorageError, SettingsError, psycopg.Error):
        return Check(part, "problem", "cannot be looked at", "Mend settings and database first.")
    if state.refused:
        return Check(part, "problem", state.refused[1], "Nothing is signed; revoking goes on.")
    says, now = ledger_line(state, key), datetime.now(UTC)
    if (since := state.not_in_order_since(now)) is not None:
        fix = "Start `lockstep worker`."
        if state.sealing:  # a lock that is held is no work that is done
            fix = "A worker holds the sequencer's lock and places nothing: see its log, restart it."
        return Check(part, "problem", f"not in order since {instant(since)}; {says}", fix)
    if not state.sealing:
        return Check(part, "problem", f"no worker signs it; {says}", "Start `lockstep worker`.")
    if ledger_is_late(state, settings.ledger.heartbeat, now):
        return Check(part, "problem", f"it is behind; {says}", "See the worker's log.")
    return Check(part, "ok", says)


async def _facts(settings: Settings) -> list[Check]:
    """Whether what the score is made of is what the ledger says; nothing where nobody can ask."""
    try:
        ring = settings.open_keyring()
        engine = create_engine(database_url(settings), pool_size=1, application="lockstep-doctor")
    except (StorageError, SettingsError):
        return []
    try:
        root = Root(settings, open_stores(settings, engine, ring))
        async with root.stores.scores.reading() as reading:
            head = await reading.head()
            state = await reading.facts_state(
                root.facts_seal, tenant=settings.tenant, size=head.sequenced
            )
        return [facts_check(state, await changed_facts(engine), datetime.now(UTC))]
    except (SQLAlchemyError, OSError):
        return []
    finally:
        await engine.dispose()


def facts_check(state: FactsState, changed: Changed | None, now: datetime) -> Check:
    """The facts that the score is made of, against the ledger."""
    part = "facts"
    if state.is_proved is False:
        fix = "A worker folds them anew within a minute or two; find out who may write there."
        return Check(part, "problem", "somebody changed them in the database: no score", fix)
    if changed is not None and now - changed.at <= TOLD_FOR:
        cases = counted(changed.cases, "case", "cases")
        says = f"somebody had changed those of {cases}; put right {instant(changed.at)}"
        return Check(part, "problem", says, "Find out who may write to the database.")
    if state.is_proved is None or state.proved_at is None:
        return Check(part, "warning", "not compared with the ledger yet", _START)
    says = f"as the ledger says, compared {instant(state.proved_at)}"
    if now - state.proved_at > UNPROVED:
        return Check(part, "problem", says, "No worker compares them any more: see its log.")
    return Check(part, "ok", says)


async def _temporal(settings: Settings) -> list[Check]:
    where = settings.temporal_address()
    part = "temporal"
    try:
        client = await asyncio.wait_for(connect(where, settings.open_keyring()), PATIENCE_S)
    except (RuntimeError, TimeoutError, SettingsError):
        fix = "Start `lockstep up`, or correct temporal.address, tls and api_key."
        return [Check(part, "problem", f"{where.address} does not answer", fix)]
    try:
        await client.count_workflows(f"WorkflowType = '{names.CASE_WORKFLOW}'")
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=where.namespace)
        )
        missing = {key.name for key in names.SEARCH_ATTRIBUTES} - set(listed.custom_attributes)
        if missing:
            wanted = ", ".join(sorted(missing))
            fix = "temporal operator search-attribute create (docs/operations.md)"
            return [Check(part, "problem", f"search attributes are missing: {wanted}", fix)]
        checks = [Check(part, "ok", f"{where.address}, namespace {where.namespace}")]
        queues = [names.CASE_QUEUE, *map(names.system_queue, _connected(settings))]
        checks.extend(await asyncio.gather(*(_queue(client, where.namespace, q) for q in queues)))
        checks.append(stalled_check(await ask(client)))
    except TimeoutError:
        return [*checks, Check(part, "problem", f"{where.address} answers too slowly")]
    except RPCError as error:
        fix = "Check temporal.namespace and the rights of the key."
        return [Check(part, "problem", f"{where.namespace}: {error.status.name}", fix)]
    return checks


async def _queue(client: Client, namespace: str, queue: str) -> Check:
    kinds = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    if queue == names.CASE_QUEUE:
        kinds = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=namespace, task_queue=TaskQueue(name=queue), task_queue_type=kinds
        )
    )
    part = f"queue {queue}"
    if described.pollers:
        return Check(part, "ok", "a worker listens")
    return Check(part, "problem", "no worker listens", "Start `lockstep worker`.")


async def _provider(settings: Settings) -> list[Check]:
    part, table = "identity provider", settings.oidc
    try:
        client = settings.oidc_client()
    except SettingsError:
        return []  # `check_settings` has said so
    if table is None or client is None:
        return []
    provider = OpenIdProvider(table.issuer, client=client)
    try:
        async with asyncio.timeout(PATIENCE_S):
            problems = await examine_provider(
                provider, scopes=table.scopes, redirect_uri=f"{settings.origin}{CALLBACK}"
            )
            method = "" if problems else client.method((await provider.metadata()).auth_methods)
    except TimeoutError:
        return [Check(part, "problem", "no answer in time", "Check network and address.")]
    finally:
        await provider.aclose()
    says = f"{table.issuer}: discovery, keys, and our registration ({method})"
    return checks_of(part, problems) or [Check(part, "ok", says)]


def stalled_check(found: Found) -> Check:
    """Whether every case's workflow goes on; coming dismissals are among them, by their ids."""
    part = "cases"
    if found.problem:
        return Check(part, "warning", f"not known whether every one goes on: {found.problem}")
    if not found.total:
        return Check(part, "ok", "every open case's workflow goes on")
    kinds = Counter(found.cases.values())
    said = " ".join(f"{kind.reason} {kind.suggestion}" for kind, _ in kinds.most_common())
    some = ", ".join(sorted(found.cases)[:_SHOWN])
    more = f" and {found.total - _SHOWN:,} more" if found.total > _SHOWN else ""
    count = counted(found.total, "case cannot go on", "cases cannot go on")
    return Check(part, "problem", f"{count}: {some}{more}", said)


def _connected(settings: Settings) -> list[str]:
    return [name for name, table in settings.systems.items() if table.connector != MANUAL]


def last_line(checks: Iterable[Check]) -> str:
    """What it comes to; a warning is nothing to mend at once, but not "in order" either."""
    levels = Counter(check.level for check in checks)
    warnings = counted(levels["warning"], "warning")
    if levels["problem"]:
        return f"{levels['problem']} to mend."
    return f"Nothing to mend; {warnings}." if levels["warning"] else "Everything is in order."
