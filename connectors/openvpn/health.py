"""One server, examined: its line, its list, and whether it looks where we write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from connectors.base import ConnectorFault, Transcript
from connectors.kit.steps import attempt
from connectors.openvpn import checks
from connectors.openvpn.gateway import Gateway
from lockstep.domain.systems.access import Problem

READ_CONFIG = "config.read"


async def examined(
    gateway: Gateway, config: str, transcript: Transcript, *, by_list: bool
) -> tuple[bool, Sequence[Problem]]:
    """Whether a server's line answers, and everything that would hinder a revocation there."""
    at = gateway.name
    found: list[Problem] = []
    inside = await attempt(gateway.connected(transcript))
    reached = not isinstance(inside, ConnectorFault)
    if isinstance(inside, ConnectorFault):
        found.append(checks.of_fault(at, inside))
    if gateway.crl:
        listed = await attempt(gateway.listed(transcript))
        if isinstance(listed, ConnectorFault):
            found.append(checks.of_fault(at, listed))
        else:
            found += checks.of_list(at, listed, datetime.now(UTC))
    if not await gateway.files.can_change(gateway.crl if by_list else f"{gateway.ccd}/"):
        found.append(checks.not_writable(at))
    if not config:
        return reached, (*found, checks.not_checked(at))
    raw = await attempt(gateway.files.read(READ_CONFIG, config, transcript))
    if isinstance(raw, ConnectorFault):
        return reached, (*found, checks.of_fault(at, raw))
    told = checks.read_config(raw)
    found += checks.of_config(at, told, crl=gateway.crl, ccd=gateway.ccd, by_list=by_list)
    return reached, found
