"""AWS: the IAM users of one account, and the users of IAM Identity Center.

One configured system is one AWS account, plus, where ``users`` says so, the organization's
Identity Center instance. IAM users of further accounts are further systems with their own
``role_arn``.

Why ``AWSDenyAll`` is attached: IAM cannot list or end temporary credentials of a user
(`GetSessionToken`, up to 36 h; console sessions, up to 12 h), but it evaluates the user's policies
on every request. An explicit deny without a condition needs no clock, so that repeating it is
neither stronger nor weaker; and attaching one named managed policy needs no right to write
policies, which would let Lockstep make itself administrator.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from functools import partial

import httpx

from connectors.aws import spec
from connectors.aws.beyond import ABILITIES, ActiveUsers, CloudTrail
from connectors.aws.health import PERMISSIONS, HealthCheck
from connectors.aws.iam import IamUsers
from connectors.aws.iam_find import IamFinder
from connectors.aws.spec import KIND
from connectors.aws.store import IdentityCenterUsers
from connectors.aws.wire import AwsWire, fault
from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.kit.calls import Api, Wire
from connectors.kit.finding.gathered import failed, joined
from connectors.kit.finding.searching import Searching
from connectors.kit.options import Values, read_options
from lockstep.domain.cases.leavers import Key, LeaverKeys
from lockstep.domain.systems.access import Account, Action, Category, Health, Location, Observation
from lockstep.domain.systems.activity import Activity
from lockstep.domain.systems.faults import FaultCategory

_STORE_ID = re.compile(
    r"(?:[0-9a-f]{10}-)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z",
)
"""An Identity Store user's id; IAM's ids hold no hyphen."""


class AwsConnector:
    """Both kinds of AWS users behind the one contract; the id tells which kind an account is.

    Args:
        options: see `connectors.aws.spec.OPTIONS`.
        transport: replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self, options: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._system = options.system
        self._values = values = read_values(options)
        self._wire = AwsWire(values, options, transport=transport)
        self._api = Api(self._wire, Wire(spec.DIALECT, effect_ok=frozenset({200})), {})
        self._has_iam = values[spec.USERS] != "identity_center"
        self._has_store = values[spec.USERS] != "iam"
        self._iam = IamUsers(values, self._api, self._wire)
        self._iam_finder = IamFinder(values, self._api)
        self._store = IdentityCenterUsers(values, self._api)
        self.list_active = ActiveUsers(values, self._api, self._iam_finder, self._store).pages
        self._trail = CloudTrail(values, self._api)

    @property
    def kind(self) -> str:
        return KIND

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Ask both halves; one that fails leaves what the other found."""
        ids = keys.account_ids(self._system)
        searching = Searching(not_theirs)
        asked: list[tuple[list[Key], Callable[[], Awaitable[Location]]]] = []
        if self._has_iam:
            named = [one for one in ids if not _STORE_ID.match(one)]
            search = partial(self._iam_finder.locate, named, keys, transcript)
            asked.append((self._iam_finder.usable(named, keys), search))
        if self._has_store:
            named = [one for one in ids if _STORE_ID.match(one)]
            search = partial(self._store.locate, named, keys, transcript, not_theirs=not_theirs)
            asked.append((self._store.finder.usable(named, keys), search))
        halves = await searching.each(search for _, search in asked)
        return searching.told(
            joined(
                *(
                    failed(usable) if isinstance(half, ConnectorFault) else half
                    for (usable, _), half in zip(asked, halves, strict=True)
                )
            )
        )

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        return await self._half(account).look(account, transcript)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        return await self._half(account).contain(account, before, transcript)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        return await self._half(account).read_back(account, transcript)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        return await self._half(account).strip(account, before, transcript)

    async def activity_since(
        self, account: Account, since: datetime, transcript: Transcript
    ) -> Activity:
        """What CloudTrail shows of the account; see `connectors.aws.beyond`."""
        return await self._trail.since(account, since, transcript)

    async def health(self, transcript: Transcript) -> Health:
        return await HealthCheck(self._values, self._api, self._store).run(transcript)

    async def aclose(self) -> None:
        await self._api.aclose()

    def _half(self, account: Account) -> IamUsers | IdentityCenterUsers:
        is_store_user = _STORE_ID.match(account.id) is not None
        if not (self._has_store if is_store_user else self._has_iam):
            raise fault(FaultCategory.MISCONFIGURED, "locate", "users_option_excludes_account")
        return self._store if is_store_user else self._iam


def read_values(given: ConnectorOptions) -> Values:
    """Check the options of one system.

    Raises:
        ValueError: naming the option that is wrong.
    """
    values = read_options(spec.OPTIONS, given, kind=KIND)
    for option in (spec.ACCESS_KEY_ID, spec.SECRET_ACCESS_KEY):
        if values[spec.CREDENTIALS] == "keys" and not values[option]:
            raise ValueError(f'{option.name}: missing; or set credentials = "default"')
    return values


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="AWS IAM and IAM Identity Center",
    category=Category.SAAS,
    build=AwsConnector,
    options=spec.OPTIONS,
    permissions=PERMISSIONS,
    proves=(
        "IAM user, found by UserId: no login profile; no live access key, SSH key, signing "
        "certificate or service-specific credential; AWSDenyAll attached, which also denies "
        "temporary credentials; no MFA device, group or other policy. Identity Center user, by "
        "UserId: gone, or DISABLED with no direct account or application assignment and no group "
        "membership. AWS has no call that disables such a user or ends its portal session: with "
        'identity_center_user = "keep" sign-in stands until a person disables the user in the '
        "console, and a user that a directory provisions is that directory's to revoke. "
        "Assignments of a deleted user are removed where AWS still lists them. Roles that were "
        "assumed before keep their session to its end."
    ),
    residual_s={
        "assumed_role_session": 43_200,
        "permission_set_session": 43_200,
        "identity_center_session": 3_600,
        "iam_propagation": None,
        "temporary_credentials": 129_600,
    },
    abilities=ABILITIES,
    secret_marks=("AKIA",),
)
