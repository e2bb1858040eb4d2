"""What `doctor` says of the machine that embedded servers run on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockstep.cli.runtime import doctor_host
from lockstep.cli.runtime.doctor_host import clocks_checks, port_checks, room_check, room_checks
from lockstep.domain.room import Room
from lockstep.settings import Settings
from lockstep.settings.tables import DatabaseTable, TemporalTable
from lockstep.storage.engine.clocks import TEMPORAL, ClockLook

GIB = 2**30


@pytest.mark.parametrize(
    ("room", "level", "fix"),
    [
        (Room(50 * GIB, 100 * GIB), "ok", ""),
        (Room(5 * GIB, 100 * GIB), "warning", "Make room now"),
        (Room(2**20, 100 * GIB), "problem", "Make room at once"),
    ],
)
def test_it_warns_before_the_disk_is_full(tmp_path: Path, room, level, fix) -> None:
    """While nothing is lost yet, somebody can make room."""
    check = room_check("disk", tmp_path, room)

    assert check.level == level
    assert check.fix.startswith(fix)
    assert str(tmp_path) in check.says


def test_a_disk_is_looked_at_before_its_folder_is_made(tmp_path: Path) -> None:
    """Also where nothing was started yet."""
    settings = Settings.model_construct(
        data_dir=Path("not/yet"),
        base=tmp_path,
        database=DatabaseTable(mode="embedded"),
        temporal=TemporalTable(mode="embedded"),
    )

    assert [check.part for check in room_checks(settings)][:1] == ["disk"]


def test_servers_of_others_have_their_own_disks(tmp_path: Path) -> None:
    """Nobody can see from here how full they are."""
    settings = Settings.model_construct(
        data_dir=tmp_path,
        base=tmp_path,
        database=DatabaseTable(mode="external", url="file:url"),
        temporal=TemporalTable(mode="external"),
    )

    assert room_checks(settings) == []


NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def look(seconds: float, who: str = "host/7") -> ClockLook:
    return ClockLook(who, timedelta(seconds=seconds), NOW)


@pytest.mark.parametrize(
    ("skew", "looks", "level", "says"),
    [
        (0, [look(0), look(0, TEMPORAL)], "ok", "this machine's, those of 1 worker and Temporal's"),
        (0, [look(0)], "ok", "those of 1 worker; Temporal's is not known yet"),
        (-6, [], "warning", "this machine's clock is 6.0 s behind the database's"),
        (61, [], "problem", "this machine's clock is 61.0 s ahead of the database's"),
        (0, [look(-7)], "warning", "the clock of worker host/7 is 7.0 s behind"),
        (0, [look(3600)], "problem", "begins nothing"),
        (0, [look(-600, TEMPORAL)], "problem", "cases begin by the database's"),
    ],
)
def test_clocks_that_differ_are_named(skew, looks, level, says) -> None:
    """Whose, by how much, which way, and what follows from it."""
    [check] = clocks_checks(timedelta(seconds=skew), looks)

    assert (check.level, says in check.says) == (level, True), check
    assert bool(check.fix) is (level != "ok")


def of_embedded(folder: Path) -> Settings:
    table = TemporalTable(mode="embedded")
    return Settings.model_construct(data_dir=folder, base=folder, temporal=table)


@pytest.mark.parametrize(("users", "level"), [([], "ok"), (["kim", "lee"], "warning")])
def test_who_else_reaches_temporal_is_said(tmp_path: Path, monkeypatch, users, level) -> None:
    """It has no login, and loopback is everybody's who is on the machine."""
    monkeypatch.setattr(doctor_host, "other_users", lambda: users)
    [check] = port_checks(of_embedded(tmp_path))

    assert check.level == level
    assert "login" in check.says
    assert all(user in check.says for user in users)


def test_a_file_that_others_can_read_is_a_problem(tmp_path: Path) -> None:
    """Ids and times of every case stand in it."""
    file = tmp_path / "temporal" / "temporal.db"
    file.parent.mkdir()
    file.touch(mode=0o644)

    [check] = port_checks(of_embedded(tmp_path))

    assert check.level == "problem"


def test_a_temporal_of_others_has_its_own_login(tmp_path: Path) -> None:
    """Nothing is said of it from here."""
    table = TemporalTable(mode="external")
    assert port_checks(Settings.model_construct(base=tmp_path, temporal=table)) == []
