"""What Kisi tells beyond who holds what: everybody with access, what they did, links they made.

From https://api.kisi.io/docs: an event set is ordered first, spans at most 90 days, and is not
always ready at once. How long events are kept depends on the plan and is not documented: an older
event of anybody's proves how far the log reaches.
"""

from __future__ import annotations

from datetime import timedelta

from connectors.kit.abilities.rows import Active, Log, Ordered, Owned, Owns
from connectors.kit.calls import Call, Listed
from connectors.kit.holdings import always
from connectors.kit.pages import Cursor, Offset, Shape, Total
from lockstep.domain.systems.activity import UseKind
from lockstep.domain.systems.owned import OwnedKind


def listed(area: str, size: int, **params: str) -> Listed:
    """``X-Collection-Range: first-last/total`` counts; the sizes are the vendor's maxima."""
    call = Call("GET", f"/{area}", f"{area}.list", area, params)
    return Listed(call, Offset(size=size), Shape(total=Total(header="x-collection-range")))


def _events(name: str, **actor: object) -> tuple[Listed, Ordered]:
    """A set of events, newest first: it is ordered, and read by a cursor once it is finished."""
    show = Call("GET", "/event_sets/{ref}", f"{name}.get", "event_sets")
    wanted = {"interval": "{since}/{until}", **actor}
    make = Call("POST", "/event_sets", f"{name}.create", "event_sets", body={"event_set": wanted})
    listed = Listed(show, Cursor("cursor", ("cursor",)), Shape(at=("events",), ref="uuid"))
    return listed, Ordered(make, show, lambda made: _READY.get(str(made.get("status"))))


_READY = {"finished": True, "in_progress": False}
_THEIRS, _THEIR_ORDER = _events(
    "events", event_actor_type="User", event_actor_id=lambda words: int(words["id"])
)
_ANYBODYS, _ANYBODYS_ORDER = _events("earlier_events")

ACTIVE = Active(
    listed("users", 100),
    "users to whom a door opens or who may sign in by password; guests and links are no users",
)

ACTIVITY = Log(
    _THEIRS,
    at=("created_at",),
    what=lambda event: event.get("type"),
    kind=lambda event: UseKind.USED if event.get("success") is True else UseKind.REFUSED,
    sees="what the user did, doors included, and was refused. Not verified at a real organisation:"
    " whether an event of a card that was deactivated names its user",
    mine=lambda event, words: str(event.get("actor_id")) == words["id"],
    ordered=_THEIR_ORDER,
    oldest=_ANYBODYS,
    oldest_ordered=_ANYBODYS_ORDER,
    widest=timedelta(days=90),
)

OWNED = Owned(
    (
        Owns(
            listed("group_links", 250),
            {OwnedKind.KEY: always},
            mine=lambda link, words: (
                link.get("created_by_type") == "User"
                and str(link.get("created_by_id")) == words["id"]
            ),
            name=("name",),
            created=("created_at",),
            used=("last_used_at",),
        ),
    ),
    "group links that the user made: whoever holds one opens the group's doors without a user",
)
