import os
import stat

from lockstep.embedded import logfile


def test_a_log_is_private_and_its_folder_is_made(home):
    """Only we read a child's log."""
    path = home / "logs" / "child.log"
    os.close(logfile.open_for_append(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rotation_keeps_the_writer_and_one_older_part(home):
    """A writer that knows nothing of the rotation goes on in the emptied file."""
    path = home / "child.log"
    writer = logfile.open_for_append(path)
    os.write(writer, b"old\n" * 10)

    assert logfile.rotate_if_large(path, max_bytes=20)

    os.write(writer, b"new\n")
    os.close(writer)
    assert path.read_bytes() == b"new\n"
    assert path.with_name("child.log.1").read_bytes() == b"old\n" * 10


def test_a_small_log_is_not_rotated(home):
    """Below its bound nothing happens, and a missing log is small."""
    assert not logfile.rotate_if_large(home / "missing.log", max_bytes=20)


def test_the_tail_holds_the_last_lines_of_this_run(home):
    """Lines of an earlier run do not explain this one's failure."""
    path = home / "child.log"
    path.write_text("earlier\n")
    start = logfile.size(path)
    with path.open("a") as log:
        log.writelines(f"line {number}\n" for number in range(5))

    assert logfile.tail(path, lines=2, since_byte=start) == "line 3\nline 4"
    assert "earlier" not in logfile.tail(path, since_byte=start)


def test_the_tail_survives_a_rotation_in_between(home):
    """A log that is shorter than it was is read from its beginning."""
    path = home / "child.log"
    path.write_text("after\n")

    assert logfile.tail(path, since_byte=1000) == "after"
