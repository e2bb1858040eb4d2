"""Typed stubs of every activity: workflows call these, `activities` implements them by name.

Importing a workflow thereby loads no I/O. A parity test compares names and signatures.
"""

from __future__ import annotations

from temporalio import activity

from lockstep.contracts import payloads as p


class _StubError(AssertionError):
    def __init__(self) -> None:
        super().__init__("a stub was run: the worker registers lockstep activities, not stubs")


@activity.defn
async def begin_revoking(given: p.BeginInput) -> p.BeginResult:
    """At the cutoff: begin, wait on (the date moved), or stop (rescinded)."""
    raise _StubError


@activity.defn
async def revoke_access(given: p.RevokeInput) -> p.RevokeResult:
    """Locate, snapshot, ATTEMPT, revoke, read back, OUTCOME: one system of one case."""
    raise _StubError


@activity.defn
async def try_at_home(given: p.HomeInput) -> p.HomeResult:
    """The first try of several systems, within the workflow task; faults come back as data."""
    raise _StubError


@activity.defn
async def rehearse_access(given: p.RehearseInput) -> p.RehearseResult:
    """Look for accounts and missing permissions before the last day; change nothing."""
    raise _StubError


@activity.defn
async def watch_access(given: p.WatchInput) -> p.WatchResult:
    """Read a settled system back; access that returned becomes a finding."""
    raise _StubError


@activity.defn
async def record_needs_person(given: p.NeedsPersonInput) -> p.Nothing:
    """Show operations that a system waits for a person, and why."""
    raise _StubError


@activity.defn
async def record_decision(given: p.DecisionInput) -> p.DecisionResult:
    """Write a person's decision, with actor and reason."""
    raise _StubError


@activity.defn
async def close_case(given: p.CloseInput) -> p.CloseResult:
    """Close a case whose required systems are all settled."""
    raise _StubError
