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

from collections.abc import Awaitable, Callable, Collection
from functools import partial

from connectors.aws.health import PERMISSIONS, HealthCheck
from connectors.aws.http import AwsCalls, BeforeSend
from connectors.aws.iam import IamUsers
from connectors.aws.match import Usable, failed, joined
from connectors.aws.settings import OPTIONS, read_settings
from connectors.aws.sso import IdentityCenterUsers, is_user_id
from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.kit.finding.searching import Searching
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import Account, Action, Category, Health, Location, Observation
from lockstep.domain.systems.faults import FaultCategory

KIND = "aws"


class AwsConnector:
    """Both kinds of AWS users behind the one contract; the id tells which kind an account is.

    Args:
        options: see `connectors.aws.settings.OPTIONS`.
        before_send: botocore's hook between signing and sending; replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(self, options: ConnectorOptions, *, before_send: BeforeSend | None = None) -> None:
        settings = read_settings(options)
        self._settings = settings
        self._calls = AwsCalls(
            settings, timeout=options.timeout, before_send=before_send, pace=options.pace
        )
        self._iam = IamUsers(settings, self._calls)
        self._identity_center = IdentityCenterUsers(settings, self._calls)

    @property
    def kind(self) -> str:
        return KIND

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Ask both halves; one that fails leaves what the other found."""
        ids = keys.account_ids(self._settings.system)
        searching = Searching(not_theirs)
        halves: list[tuple[Usable, Callable[[], Awaitable[Location]]]] = []
        if self._settings.iam:
            iam_ids = [one for one in ids if not is_user_id(one)]
            locate = partial(self._iam.locate, iam_ids, keys, transcript)
            halves.append((partial(self._iam.usable, iam_ids), locate))
        if self._settings.identity_center:
            store_ids = [one for one in ids if is_user_id(one)]
            locate = partial(
                self._identity_center.locate, store_ids, keys, transcript, not_theirs=not_theirs
            )
            halves.append((partial(self._identity_center.usable, store_ids), locate))
        told = await searching.each(locate for _, locate in halves)
        return searching.told(
            joined(
                *(
                    failed(usable(keys)) if isinstance(half, ConnectorFault) else half
                    for (usable, _), half in zip(halves, told, strict=True)
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

    async def health(self, transcript: Transcript) -> Health:
        return await HealthCheck(self._settings, self._calls, self._identity_center).run(transcript)

    async def aclose(self) -> None:
        await self._calls.aclose()

    def _half(self, account: Account) -> IamUsers | IdentityCenterUsers:
        is_store_user = is_user_id(account.id)
        if not (self._settings.identity_center if is_store_user else self._settings.iam):
            raise ConnectorFault(
                FaultCategory.MISCONFIGURED,
                connector=KIND,
                operation="locate",
                code="users_option_excludes_account",
            )
        return self._identity_center if is_store_user else self._iam


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="AWS IAM and IAM Identity Center",
    category=Category.SAAS,
    build=AwsConnector,
    options=OPTIONS,
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
    secret_marks=("AKIA",),
)
