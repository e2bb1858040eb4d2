"""When a disk is low, and when it is out of room."""

import pytest

from lockstep.domain.room import Room, RoomState

GIB = 2**30


@pytest.mark.parametrize(
    ("room", "state"),
    [
        (Room(50 * GIB, 100 * GIB), RoomState.ENOUGH),
        (Room(20 * GIB, 1000 * GIB), RoomState.ENOUGH),
        (Room(9 * GIB, 100 * GIB), RoomState.LOW),
        (Room(10 * GIB, 100 * GIB), RoomState.ENOUGH),
        (Room(GIB, 2 * GIB), RoomState.ENOUGH),
        (Room(GIB - 1, 2 * GIB), RoomState.LOW),
        (Room(100 * 2**20, 2 * GIB), RoomState.OUT),
        (Room(0, 0), RoomState.OUT),
        (Room(50 * GIB, 100 * GIB, 1_000, 1_000_000), RoomState.LOW),
        (Room(50 * GIB, 100 * GIB, 0, 1_000_000), RoomState.OUT),
    ],
)
def test_a_disk_is_low_by_bytes_or_by_share(room, state):
    """Both count: a tenth of a small disk is little, a fiftieth of a large one may be much."""
    assert room.state is state


def test_people_read_bytes_and_share():
    """What is free, and of how much."""
    assert Room(3 * GIB // 2, 10 * GIB).words == "1.5 GiB free (15 %)"
    assert Room(64 * 2**20, GIB, 7, 9).words == "64 MiB free (6 %), 7 more files"
