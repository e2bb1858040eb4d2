"""A console without its database says so to people; a fault of ours is not called an outage."""

from __future__ import annotations

import psycopg
import pytest
from fastapi import Request
from sqlalchemy.engine import make_url

from lockstep.domain.rights import Role
from lockstep.web.console.pages import Pages
from tests.web.conftest import ENDED_MS
from tests.web.console.conftest import SETTINGS, Site, text_of

TOKEN = "outage-token-0123456789abcdefghijklmnop"


@pytest.fixture
def site_settings(tmp_path) -> str:
    """With a token of the settings: one from the database could not even be read."""
    (tmp_path / "see.token").write_text(TOKEN)
    return f'{SETTINGS}\n[tokens.see]\nsecret = "file:see.token"\nrights = ["see_cases"]\n'


def cut(superuser_url: str, *, up: bool = False) -> None:
    """Let the server refuse every connection to our database, or admit them again."""
    url = make_url(superuser_url)
    admin = url.set(drivername="postgresql", database="postgres")
    with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as server:
        server.execute(f"alter database {url.database} allow_connections {up}".encode())
        server.execute(
            "select pg_terminate_backend(pid, %s) from pg_stat_activity where datname = %s",
            [ENDED_MS, url.database],
        )


async def test_without_its_database_a_page_says_so_in_words(site: Site, database):
    """503, a whole page, when to come again; a part of a page is only the note."""
    olivia = await site.sign_in(Role.OPERATOR)
    cut(database.superuser_url)
    whole, part = await olivia.get("/console/"), await olivia.part("/console/")
    sent = await olivia.post("/console/views", {"name": "mine"})
    cut(database.superuser_url, up=True)
    again = await olivia.get("/console/")

    for answer in (whole, part, sent):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert answer.headers["content-type"].startswith("text/html")
        assert "The database cannot be used now" in text_of(answer)
    assert "<html" in whole.text
    assert "<html" not in part.text
    assert again.status_code == 200


async def test_without_its_database_the_api_still_answers_programs(site: Site, database):
    """What is not below /console is JSON, with its stable word."""
    cut(database.superuser_url)
    visitor = await site.visitor()
    answer = await visitor.get("/api/cases", headers={"authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 503
    assert answer.json() == {"error": "database_unreachable"}


@pytest.mark.parametrize("path", ["/console/odd", "/odd"])
async def test_a_missing_template_is_a_fault_of_ours(site: Site, path):
    """500, and no word of the database: nobody shall look for an outage that is none."""
    pages = Pages()

    async def odd(request: Request):
        return pages.page(request, "not_there.html")

    site.app.add_api_route(path, odd)
    answer = await (await site.visitor()).get(path)

    assert answer.status_code == 500
    assert "database" not in answer.text
