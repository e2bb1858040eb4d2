"""Whether one SCIM group holds one person, where its list of members may be cut short.

A filter on the group and the member at once tells, where it is seen to find a member whom the
list shows, and nobody by a number that nobody has.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

from connectors.base import Transcript
from connectors.scim import wire
from connectors.scim.client import ScimClient
from connectors.scim.members import Member, Person
from connectors.scim.pages import ids_under


class _Question(NamedTuple):
    """A filter on one resource and one of its values; RFC 7644 section 3.4.2.2."""

    path: str
    attribute: str


_QUESTIONS = (
    _Question("/Groups", "members.value"),
    _Question("/Groups", "members"),
    _Question("/Users", "groups.value"),
)


async def holds_by_filter(
    client: ScimClient, group_id: str, known: Member, person: Person, transcript: Transcript
) -> bool | None:
    """Whether the group holds the person; None where no question is proved to tell.

    ``known`` is a member whom the group's list shows.
    """
    if not client.supports("filter"):
        return None
    for question in _QUESTIONS:
        shown = await _answer(client, question, group_id, wire.text(known.value), transcript)
        if not shown:
            continue
        if await _answer(client, question, group_id, uuid4().hex, transcript) is False:
            return await _answer(client, question, group_id, person.id, transcript)
    return None


async def _answer(
    client: ScimClient, question: _Question, group_id: str, member: str, transcript: Transcript
) -> bool | None:
    """What the server says to one question; None where it refuses it."""
    wanted, held = (group_id, member) if question.path == "/Groups" else (member, group_id)
    both = f"{wire.equals('id', wanted)} and {wire.equals(question.attribute, held)}"
    found = await ids_under(client, question.path, both, transcript, further=False)
    return None if found is None else found == [wanted]
