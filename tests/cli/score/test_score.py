"""`lockstep score` and `lockstep metric` as a person runs them, on a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from sqlalchemy import text
from typer.testing import CliRunner, Result

from lockstep.cli.score.commands import metric_app, score_app
from lockstep.cli.score.view import money
from lockstep.scorecard.facts import CaseFacts
from lockstep.storage.engine.database import create_engine
from tests.support.scoring import DAY, HOUR, facts, listen, sign_head, store

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"
[database]
mode = "external"
url = "{url}"
[scorecard.penalties.northwind]
currency = "EUR"
per_case = 10000
per_started_hour = 500
[systems.portal]
connector = "manual"
"""


@dataclass
class Desk:
    """A terminal at an installation."""

    url: str
    config: Path

    def run(self, *words: str) -> Result:
        app = typer.Typer()
        app.add_typer(score_app, name="score")
        app.add_typer(metric_app, name="metric")
        return CliRunner().invoke(app, [*words, "--config", str(self.config)])

    def json(self, *words: str):
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def store(self, cases: Sequence[CaseFacts], *, head: int = 0) -> None:
        """Facts as the sequencer leaves them, under a signed head."""

        async def work() -> None:
            engine = create_engine(self.url)
            await store(engine, cases)
            if head:
                await sign_head(engine, head)
            await engine.dispose()

        asyncio.run(work())

    def expect(self, *sources: str, ago: timedelta, heard: timedelta | None = None) -> None:
        """Sources that are expected for so long, and were heard so long ago."""

        async def work() -> None:
            engine = create_engine(self.url)
            await listen(engine, *sources, expected=ago, heard=heard)
            await engine.dispose()

        asyncio.run(work())

    def execute(self, statement: str) -> None:
        async def work() -> None:
            engine = create_engine(self.url)
            async with engine.begin() as connection:
                await connection.execute(text(statement))
            await engine.dispose()

        asyncio.run(work())


@pytest.fixture
def desk(database, ring, tmp_path) -> Desk:
    (tmp_path / "keyring.json").write_text(ring.to_text())
    config = tmp_path / "lockstep.toml"
    config.write_text(SETTINGS.format(url=database.app_url))
    return Desk(database.app_url, config)


@pytest.fixture
def year(desk) -> Desk:
    """40 leavers of two partners; one was 2 h late. The audit's worked example E: 19.27."""
    desk.store([facts(f"{n}") for n in range(39)])
    desk.store([facts("late", took=6 * HOUR, partner="contoso")], head=500)
    return desk


def squeezed(result: Result) -> str:
    """The output with the panel's edges and runs of blanks taken out."""
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.replace("│", " ").split())


def test_the_panel_has_everything_to_read_the_score(year):
    """Value, target, n, label, window, percentiles, exposure, lag, Wilson, versions, ledger."""
    said = squeezed(year.run("score"))

    for words in (
        "19.27 / 20",
        "target 19 on target",
        "n 40, measured",
        "39 of 40 (97.5 %); the process can surely do 89.",
        "p50 6 min 00 s p90 6 min 00 s p95 6 min 00 s max 6 h 00 min",
        "HR lag p50 0 ms",
        "9.90 account-hours, of these 0.00 in tier 0",
        "0 in time, none overdue",
        "evidence A 40",
        "(official)",
        f"SLA versions {'a' * 12}",
        "500 entries under the head of",
        "4.82 to 19.82 of 20, undetermined; not known: security training, background checks,",
    ):
        assert words in said


def test_explain_says_what_cost_which_points_and_what_to_do(year):
    """In plain words, the worst first."""
    said = squeezed(year.run("score", "--explain"))

    assert "-0.73 Case case-late: okta-prod took 6 h where 4 h is allowed." in said
    assert "It cannot be mended; it leaves the official window on" in said


def test_open_and_late_work_shows_and_caps(desk):
    """A tier-0 system open far past due: the cap, the penalty, the lower bounds."""
    desk.store([facts(f"{n}") for n in range(99)])
    desk.store([facts("open", took=None, ago=3 * DAY, tier="0")])
    said = squeezed(desk.run("score", "--explain"))

    assert "13.50 / 20" in said
    assert "high risk" in said
    assert "1 overdue (costs 1.00 points)" in said
    assert "max ≥ 3 d 0 h (open)" in said
    assert "13.50: a tier-0 system is open far past due (case-open okta-prod)" in said
    assert "Close case case-open: okta-prod is a tier-0 system." in said


@pytest.mark.parametrize("by", ["partner", "site", "category", "system", "kind"])
def test_it_breaks_down_by_all_five(year, by):
    """One line each."""
    names = {"partner": "contoso", "site": "cebu", "category": "identity", "kind": "voluntary"}
    said = squeezed(year.run("score", "--by", by))

    assert f"{by} score n within SLA surely p50 max overdue cap" in said
    assert names.get(by, "okta-prod") in said


def test_a_partner_that_nothing_names_is_an_error(year):
    """It is not taken for one without leavers; those that there are stand in the line."""
    result = year.run("score", "--partner", "unknown")
    said = " ".join(result.stderr.split())
    assert result.exit_code == 2
    assert "--partner: none has this name; there are contoso, northwind" in said
    assert not result.stdout


def test_a_known_partner_without_leavers_is_told_so(year):
    """In a window where it had none."""
    said = squeezed(year.run("score", "--partner", "contoso", "--window", "2020-01-01..2020-03-31"))
    assert "No leavers of contoso in this window" in said


def test_window_and_partner_choose_the_cases(year):
    """The title and the frame say so."""
    today = datetime.now(UTC).date()
    window = f"{today - timedelta(days=30)}..{today}"
    said = squeezed(year.run("score", "--partner", "contoso", "--window", window))

    assert "Access revocation of contoso" in said
    assert "n 1, indicative" in said
    assert "(for looking)" in said
    assert "dimension" not in said


def test_json_is_the_document_of_the_api(year):
    """Everything, for a script."""
    document = year.json("score")

    assert document["score"]["value"] == "19.27"
    assert set(document["by"]["partner"]) == {"contoso", "northwind"}
    assert document["explain"][0]["case"] == "case-late"


def test_without_leavers_it_says_what_to_do(desk):
    """And never shows 20."""
    said = squeezed(desk.run("score", "--explain"))
    desk.store([facts("soon", took=None, ago=-DAY)])
    waiting = squeezed(desk.run("score"))

    assert "No leavers yet" in said
    assert "report a leaver with `lockstep terminate`" in said
    assert "/ 20" not in said
    assert "0 open and in time, 1 with their cutoff to come" in waiting


def test_over_an_unsealed_ledger_it_says_so(year):
    """Not scored, since when, and where to look."""
    year.execute(
        "insert into ledger_entries (key, kind, recorded_at, body, leaf_hash)"
        " values ('k', 'watch:look', now() - interval '26 hours', '', '')"
    )
    said = squeezed(year.run("score"))

    assert "Not scored the ledger is not sealed" in said
    assert "is a worker running? See `lockstep ledger verify`" in said


def test_while_hr_is_silent_it_says_so(year):
    """Not scored, which source for how long, and what to do; in the document too."""
    year.expect("hr", "payroll", ago=timedelta(days=8, hours=3))
    panel = squeezed(year.run("score"))
    explained = squeezed(year.run("score", "--explain"))
    score = year.json("score")["score"]

    assert "Not scored HR has not been heard for too long" in panel
    assert "HR feed hr was never heard, and is expected for 8 d 3 h" in panel
    assert (
        "HR source hr has been expected for 8 d 3 h and was never heard (1 more silent), "
        "so nobody knows who has left. Bring it back: its next event or heartbeat"
    ) in explained
    assert (score["value"], score["unscored"]) == (None, ["hr_feed_stale"])
    assert [row["source"] for row in score["feeds"]] == ["hr", "payroll"]


def test_the_panel_says_when_hr_was_heard(year):
    """The stalest source; or that there is none to listen to."""
    without = squeezed(year.run("score"))
    year.expect("hr", ago=timedelta(days=8), heard=timedelta(hours=5))

    assert "HR feed no source is expected: nobody would notice if HR fell silent" in without
    assert "HR feed hr was heard 5 h 00 min ago" in squeezed(year.run("score"))
    assert year.json("score")["score"]["value"] == "19.27"


def test_penalties_of_a_month_per_partner(desk):
    """Which cases, how late, how much; no terms, no amount."""
    now = datetime.now(UTC)
    middle = now.replace(day=1) - timedelta(days=16)  # of the month before this one
    ago = (now - middle) // timedelta(milliseconds=1)
    cases = [facts("late", ago=ago, took=6 * HOUR + 60_000)]
    cases += [facts("theirs", ago=ago, took=5 * HOUR, partner="contoso")]
    desk.store([*cases, facts("fine", ago=ago)])
    month = f"{middle:%Y-%m}"
    said = squeezed(desk.run("score", "penalties", "--month", month))
    none = squeezed(desk.run("score", "penalties", "--month", "2020-01"))

    assert "northwind 1 late of 2 115.00 EUR" in said
    assert "2 h 01 min 3 okta-prod 115.00 EUR" in said
    assert "contoso 1 late of 1 no terms" in said
    assert "northwind 0 late of 0 0.00 EUR" in none


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (11_500, "EUR", "115.00 EUR"),
        (5, "USD", "0.05 USD"),
        (115, "JPY", "115 JPY"),
        (1_500, "KWD", "1.500 KWD"),
        (None, "EUR", "no terms"),
    ],
)
def test_amounts_have_the_currencys_places(minor, currency, shown):
    """ISO 4217: two for most, none or three for some."""
    assert money(minor, currency) == shown


def test_reports_of_other_metrics(year):
    """A share or a value, short names too; the same again changes nothing; the list shows all."""
    today = datetime.now(UTC).date().isoformat()
    about = ("--as-of", today, "--source", "lms")
    first = squeezed(year.run("metric", "report", "training", "97/100", *about))
    again = squeezed(year.run("metric", "report", "training", "97/100", *about))
    value = year.json("metric", "report", "zero_contractor", "20", *about)
    listed = squeezed(year.run("metric", "list"))
    dimension = year.json("score")["dimension"]

    assert first == f"security training: 19.40 of 20 as of {today} recorded."
    assert again.endswith("on record already.")
    assert (value["value"], value["new"]) == ("20.00", True)
    assert "security training 19.40" in listed
    assert [row["metric"] for row in year.json("metric", "list")] == [
        "zero_contractor",
        "security_training",
    ]
    assert dimension["missing"] == ["background_checks"]


def test_without_reports_the_list_says_how(desk):
    """Nothing is an answer too."""
    assert "lockstep metric report --help" in squeezed(desk.run("metric", "list"))


@pytest.mark.parametrize(
    "words",
    [
        ("score", "--window", "yesterday"),
        ("score", "--partner", "a\x00b"),
        ("score", "penalties", "--month", "2024-13"),
        ("metric", "report", "vibes", "20", "--as-of", "2024-11-01", "--source", "lms"),
        ("metric", "report", "training", "21", "--as-of", "2024-11-01", "--source", "lms"),
        ("metric", "report", "training", "1/0", "--as-of", "2024-11-01", "--source", "lms"),
        ("metric", "report", "training", "x/y", "--as-of", "2024-11-01", "--source", "lms"),
        ("metric", "report", "training", "20", "--as-of", "soon", "--source", "lms"),
        ("metric", "report", "training", "20", "--as-of", "2024-11-01", "--source", "Maria D"),
    ],
)
def test_nonsense_is_refused_with_a_line(desk, words):
    """Exit code 2, one line on standard error, no traceback."""
    result = desk.run(*words)

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "error:" in result.stderr
    assert "Traceback" not in result.output


def test_names_from_outside_cannot_dress_up_the_output(desk):
    """A partner's name is shown as it is, markup and all."""
    odd = facts("odd", partner="[red]x[/red] [link=http://x]")
    desk.store([replace(odd, site="[bold]")])
    said = squeezed(desk.run("score", "--by", "partner"))

    assert "[red]x[/red] [link=http://x]" in said
