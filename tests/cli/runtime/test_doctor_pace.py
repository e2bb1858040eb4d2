"""What doctor says of a vendor's limit, and of a day on which many leave."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from connectors.registry import MANIFESTS
from lockstep.cli.runtime.doctor_pace import pace_check
from lockstep.domain.systems.pace import Told
from lockstep.settings.tables import SystemTable
from lockstep.storage.systems.paces import Pace

KEPT = Pace(
    budget="door",
    share=1.0,
    told=None,
    told_at=None,
    given=100,
    refused=0,
    refused_at=None,
    blocked_until=None,
)


def says(told: Told | None = None, kept: Pace | None = None, **options: object) -> str:
    """The words about a Kisi system."""
    table = SystemTable(connector="kisi", **options)
    return pace_check("door", table, MANIFESTS["kisi"], told, kept).says


def test_the_documented_limit_and_what_it_means() -> None:
    """Five a second, and twenty calls for each of 5,000."""
    assert says() == (
        "limit: 5/s, as the vendor documents; "
        "5,000 leavers at about 20 calls each would take about 6 h"
    )


def test_the_settings_go_first() -> None:
    """Whoever agreed another limit with the vendor writes it down."""
    assert says(limit="600/min").startswith("limit: 600/min, as the settings say; 5,000 leavers")
    assert says(limit="none").startswith("limit: none, as the settings say")


def test_what_answers_state_is_told_as_they_state_it() -> None:
    """A window that is not stated is not guessed."""
    stated = Told(limit=600, left=598, reset_s=30.0)
    unknown = "its answers state 600 calls in a window of a length that they do not state"
    assert f"{unknown} (598 left)" in says(stated)

    whole = says(replace(stated, per=60.0), limit="none")
    assert "600 calls in 60 s (598 left)" in whole
    assert "would take about 3 h" in whole


def test_where_nothing_is_known_it_is_said() -> None:
    """No limit, no time."""
    nothing = pace_check("chat", SystemTable(connector="scim"), MANIFESTS["scim"], None, None).says

    assert nothing == (
        "limit: none known, neither in the settings nor built in; "
        "how long 5,000 leavers would take is not known"
    )


def test_a_vendor_that_takes_less_is_told() -> None:
    """What workers found out by being refused changes the time, too."""
    kept = replace(KEPT, share=0.5, refused=3, refused_at=datetime(2026, 11, 30, 12, tzinfo=UTC))
    words = says(kept=kept)

    assert "50% of it are used now, because the vendor took no more" in words
    assert "3 calls were refused for it, the last at 2026-11-30 12:00 UTC" in words
    assert "would take about 12 h" in words
