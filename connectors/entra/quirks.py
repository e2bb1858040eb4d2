"""What only Microsoft's documents say: names of addresses, of factors, and whose a group is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from connectors.kit.calls import Filled, Words
from connectors.kit.instants import told_instant
from connectors.kit.pages import Item
from lockstep.domain.systems.activity import UseKind

_TYPE: Final = "#microsoft.graph."
_METHOD: Final = "AuthenticationMethod"
_SMTP: Final = "smtp:"
_SAME: Final = timedelta(minutes=1)
"""One act of the vendor's may write its two instants apart."""
GUID: Final = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def type_of(item: Item) -> str:
    """For instance ``group``; "" where the answer does not say."""
    return str(item.get("@odata.type") or "").removeprefix(_TYPE)


def quoted(text: str) -> str:
    """A text in a filter: a quote in it is written twice."""
    return "'" + text.replace("'", "''") + "'"


def selected(*fields: str) -> Filled:
    """``$select`` of these, and of the attributes that the settings name."""

    def filled(words: Words) -> str:
        named = (words["employee_number_attribute"], words["worker_id_attribute"])
        return ",".join(dict.fromkeys((*fields, *filter(None, named))))

    return filled


def addresses(record: Item) -> Iterator[str]:
    """Every address: the first one, others, and those under which mail is received.

    Beside SMTP, ``proxyAddresses`` holds names of other kinds (``X500:``, ``sip:``).
    """
    yield str(record.get("mail") or "")
    yield from map(str, record.get("otherMails") or ())
    for proxy in map(str, record.get("proxyAddresses") or ()):
        if proxy.lower().startswith(_SMTP):
            yield proxy[len(_SMTP) :]


def is_factor(method: Item) -> bool:
    """The password is one too, and cannot be deleted; it opens nothing once sign-in is shut."""
    return type_of(method) != f"password{_METHOD}"


def factor_ref(method: Item) -> str:
    """Where it is deleted: each type has a collection of its own."""
    return f"{type_of(method).removesuffix(_METHOD)}Methods/{method['id']}"


def is_group(item: Item) -> bool:
    """The list also holds directory roles, which are read by their assignments, and units."""
    return type_of(item) in {"group", ""}


def is_by_rule(group: Item) -> bool:
    return "DynamicMembership" in (group.get("groupTypes") or ())


def is_on_premises(group: Item) -> bool:
    return not is_by_rule(group) and group.get("onPremisesSyncEnabled") is True


def is_of_exchange(group: Item) -> bool:
    """A mail-enabled group that is no Microsoft 365 group: Graph reads it and cannot change it."""
    ours = (
        is_by_rule(group) or is_on_premises(group) or "Unified" in (group.get("groupTypes") or ())
    )
    return not ours and group.get("mailEnabled") is True


def is_by_group(licence: Item) -> bool:
    return bool(licence.get("assignedByGroup"))


def sessions_ended(record: Item) -> bool:
    """Whether every session that was open is refused by now.

    Graph lists none. It says from when on sessions count: since the account was made, or its
    password changed, or sessions were revoked. So they were revoked once that instant is later than
    the other two. While the account is enabled a new one may begin at any time.
    """
    since = told_instant(record.get("signInSessionsValidFromDateTime"))
    made = told_instant(record.get("createdDateTime"))
    changed = told_instant(record.get("lastPasswordChangeDateTime"))
    if record.get("accountEnabled") is not False or since is None or made is None:
        return False
    return since > max(made, changed or made) + _SAME


def use_of(sign_in: Item) -> UseKind | None:
    status = sign_in.get("status")
    code = status.get("errorCode") if isinstance(status, dict) else None
    if code is None:
        return None
    return UseKind.USED if code == 0 else UseKind.REFUSED


def what_was_used(sign_in: Item) -> str:
    status = sign_in.get("status")
    return f"sign_in.{status.get('errorCode') if isinstance(status, dict) else 'unknown'}"
