"""A whole revocation of one account, in the order in which the activity makes its calls."""

from __future__ import annotations

from connectors.base import Connector, ConnectorFault, Transcript
from connectors.kit.steps import first_of, with_actions
from lockstep.domain.systems.access import Account, Action, Observation


async def revoke(
    connector: Connector, account: Account, before: Observation, transcript: Transcript
) -> tuple[Action, ...]:
    """Contain, then strip; a refusal to contain that time does not mend still lets strip be tried.

    Raises:
        ConnectorFault: with everything that was done in its ``actions``.
    """
    done: list[Action] = []
    faults: list[ConnectorFault] = []
    for step in (connector.contain, connector.strip):
        try:
            done += await step(account, before, transcript)
        except ConnectorFault as fault:
            done += fault.actions
            faults.append(fault)
            if fault.is_transient:
                break
    if faults:
        raise with_actions(first_of(faults), done)
    return tuple(done)
