"""What `doctor` says of the machine that embedded servers run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.cli.doctor_host import room_check, room_checks
from lockstep.domain.room import Room
from lockstep.settings import Settings
from lockstep.settings.tables import DatabaseTable, TemporalTable

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
