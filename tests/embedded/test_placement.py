import os
import stat
from pathlib import Path

import pytest

from lockstep.embedded import placement
from lockstep.embedded.child import OsUser
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.placement import choose_data_dir, claim_private_folder, socket_folder

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="root only: needs a second user")
NOBODY = OsUser("nobody", 65534, 65534)


def with_data(data_dir: Path) -> Path:
    cluster = placement.cluster_folder(data_dir)
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("18\n")
    return data_dir


def test_an_open_folder_is_used_as_it_is(home):
    """The preferred folder is the usual answer."""
    assert choose_data_dir(home / "postgres") == home / "postgres"


def test_another_user_than_root_gets_what_it_prefers(home, monkeypatch):
    """Then the server runs as that user, whose folders it can enter."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    closed = home / "closed"
    closed.mkdir(mode=0o700)

    assert choose_data_dir(closed / "postgres") == closed / "postgres"


@root_only
def test_the_fallback_is_the_same_every_time_and_differs_by_home(home):
    """Each home folder finds its own data again."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    first = choose_data_dir(closed / "a", fallback_root=home)

    assert first == choose_data_dir(closed / "a", fallback_root=home)
    assert first != choose_data_dir(closed / "b", fallback_root=home)


@root_only
def test_a_folder_that_is_closed_itself_is_not_used(home):
    """Not only its parents count."""
    closed = home / "postgres"
    closed.mkdir(mode=0o700)

    assert choose_data_dir(closed, fallback_root=home) != closed


@root_only
def test_data_in_the_fallback_is_kept_after_the_folder_was_opened(home):
    """A change of rights must not make data seem to vanish."""
    parent = home / "parent"
    parent.mkdir(mode=0o700)
    fallback = with_data(choose_data_dir(parent / "postgres", fallback_root=home))
    parent.chmod(0o755)

    assert choose_data_dir(parent / "postgres", fallback_root=home) == fallback


@root_only
def test_data_that_became_unreachable_is_an_error_and_not_an_empty_database(home):
    """Starting with nothing would look like a loss."""
    parent = home / "parent"
    preferred = with_data(parent / "postgres")
    os.chown(placement.cluster_folder(preferred), NOBODY.uid, NOBODY.gid)
    parent.chmod(0o700)

    with pytest.raises(EmbeddedError, match=rf"chmod o\+x {parent}"):
        choose_data_dir(preferred, fallback_root=home)


@root_only
def test_existing_data_is_served_by_its_owner(home):
    """Root takes over a user's folder without changing who owns it."""
    data_dir = with_data(home / "postgres")
    os.chown(placement.cluster_folder(data_dir), NOBODY.uid, NOBODY.gid)

    assert placement.server_user(data_dir).uid == NOBODY.uid


def test_data_of_somebody_else_is_refused(home, monkeypatch):
    """Without root there is no way to serve it."""
    data_dir = with_data(home / "postgres")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(EmbeddedError, match="belongs to the user"):
        placement.server_user(data_dir)


@pytest.mark.parametrize("name", ["with space", "with,comma", "ümlaut", "x" * 90])
def test_a_path_that_is_not_plain_and_short_puts_the_socket_in_tmp(name):
    """URLs and PostgreSQL's own lists give some characters a meaning."""
    assert socket_folder(Path("/srv") / name).parent == Path("/tmp")


def test_a_plain_short_path_keeps_the_socket_with_the_data():
    """The usual case."""
    assert socket_folder(Path("/srv/lockstep")) == Path("/srv/lockstep/socket")


def test_a_private_folder_admits_one_user(home):
    """Everything the socket's safety rests on."""
    claim_private_folder(home / "socket", None)
    claim_private_folder(home / "socket", None)

    assert stat.S_IMODE((home / "socket").stat().st_mode) == 0o700


def test_a_link_in_the_way_is_refused(home):
    """Somebody may have put it where everybody can write."""
    (home / "target").mkdir()
    (home / "socket").symlink_to(home / "target")

    with pytest.raises(EmbeddedError, match="belongs to somebody else"):
        claim_private_folder(home / "socket", None)


@root_only
def test_a_folder_of_somebody_else_is_refused(home):
    """Its owner could replace the socket."""
    (home / "socket").mkdir()
    os.chown(home / "socket", NOBODY.uid, NOBODY.gid)

    with pytest.raises(EmbeddedError, match="belongs to somebody else"):
        claim_private_folder(home / "socket", None)


@root_only
def test_a_server_user_that_cannot_be_made_is_explained(monkeypatch, home):
    """Slim images may lack both programs."""
    monkeypatch.setattr(placement, "SERVER_USER", "lk-no-such-user")
    monkeypatch.setattr(placement, "_admin_path", lambda: "/nonexistent")

    with pytest.raises(EmbeddedError, match="Create a system user called lk-no-such-user"):
        placement.server_user(home / "postgres")
