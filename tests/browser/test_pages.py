"""Every page, as browsers and the people behind them meet it."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from lockstep.domain.rights import Role
from tests.browser.looks import barriers, complaints, too_wide
from tests.browser.scenes import Scene
from tests.browser.windows import PHONE

pytestmark = pytest.mark.e2e

MOST_SCRIPT = 150 * 1024
PAGES = [
    "/console/",
    "/console/?state=any",
    "/console/?partner=nobody",
    "/console/cases/{stuck}",
    "/console/cases/{closed}",
    "/console/bulk?action=retry&pick={stuck}/okta-sandbox&pick={closed}/okta-sandbox",
    "/console/bulk?action=reassign&pick={stuck}/okta-sandbox",
    "/console/hr",
    "/console/systems",
    "/console/systems/okta-sandbox",
    "/console/brake",
    "/console/evidence",
    "/console/people-metric",
    "/console/people-metric?print=1",
    "/console/settings",
    "/console/settings/policies?old={older}&new={newer}",
    "/console/access",
]
SPOIL = """() => {
  const main = document.querySelector("main");
  main.append(Object.assign(new Image(10, 10), {src: "/console/static/icon.svg"}));
  const pale = main.appendChild(document.createElement("p"));
  pale.textContent = "Pale and wide";
  pale.style.cssText = "color: #ddd; background: #fff; width: 900px";
}"""


@pytest.mark.parametrize("path", PAGES)
async def test_every_page(window, administrator, axe, scene, path):
    """It keeps nobody out in either theme, never scrolls sideways, is light, and complains not."""
    look = await window(cookie=administrator, script=axe)
    assert await look.open(_filled(path, scene)) == 200
    await look.settled()

    assert await complaints(look.page) == []
    assert await look.script_bytes() < MOST_SCRIPT
    assert not await look.page.evaluate("window.hit"), "script of somebody else has run"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/sign-in", 200),
        ("/console/sign-in/link?key=%3Cscript%3Ewindow.hit%3D1%3C/script%3E", 200),
        ("/console/cases/cnobody2345678", 404),
        ("/console/bulk?action=retry", 422),
        ("/console/people-metric?window=never", 422),
        ("/console/?state=<script>window.hit=1</script>&partner=%00", 200),
    ],
)
async def test_pages_that_lead_nowhere_yet(window, administrator, axe, path, status):
    """Signing in, and what is not there, can be read by everybody too."""
    cookie = "" if "sign-in" in path else administrator
    look = await window(cookie=cookie, script=axe, size=PHONE)
    look.expected.add(status)
    answered = await look.open(path)

    assert answered in {status, 422}
    await look.settled()
    assert await complaints(look.page) == []
    assert not await look.page.evaluate("window.hit")


async def test_pages_with_nothing_on_them(window, stage, axe):
    """Whoever has nothing to see yet is told so, and what comes next, without a barrier."""
    cookie = await stage.member("Nora New", *Role, partners=["Nobody Inc"])
    look = await window(cookie=cookie, script=axe, size=PHONE)
    for path in ("", "hr", "systems", "brake", "evidence", "people-metric", "settings"):
        assert await look.open(f"/console/{path}") == 200
        await look.settled()
        assert await complaints(look.page) == [], path


async def test_what_became_of_many_can_be_read(window, administrator, axe, scene):
    """The results of a bulk act: in every theme and size, without a barrier."""
    look = await window(cookie=administrator, script=axe)
    await look.open(f"/console/bulk?action=reassign&pick={scene.stuck}/okta-sandbox")
    await look.page.get_by_label("Why").fill("the day shift takes over")
    await look.page.get_by_role("button", name="Reassign 1").click()
    await expect(look.page.get_by_role("status")).to_contain_text("1 case was dealt with")

    assert await complaints(look.page) == []


async def test_a_barrier_would_be_found(window, administrator, axe, scene):
    """A picture without words, pale text and a page that is too wide do not go unseen."""
    look = await window(cookie=administrator, script=axe, size=PHONE)
    await look.open("/console/settings")
    await look.settled()
    await look.page.evaluate(SPOIL)
    found = " ".join(await barriers(look.page))

    assert "image-alt" in found
    assert "color-contrast" in found
    assert await too_wide(look.page) != []


def _filled(path: str, scene: Scene) -> str:
    return path.format(
        stuck=scene.stuck, closed=scene.closed, older=scene.policies[0], newer=scene.policies[1]
    )
