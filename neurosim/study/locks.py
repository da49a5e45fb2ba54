"""Who writes what in a folder that several processes share, and what killed ones have left there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neurosim.core.errors import InUseError, OutputError

PART = re.compile(r"\..*\.(?:(?P<host>[0-9a-f]{8})-)?(?P<pid>\d+)\.part")
"""Names of files that are not complete yet."""
FORGOTTEN_S = 86_400.0
"""Age at which an incomplete file is litter whoever began it: of another host nobody can tell."""

_mine: set[Path] = set()
"""Locks that this process holds."""


def this_host() -> str:
    """Return the name of this machine as eight hexadecimal digits, for file names."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def part_of(path: Path) -> Path:
    """Return where a file is written until it is complete: beside its place, with the writer in its name."""
    return path.with_name(f".{path.name}.{this_host()}-{os.getpid()}.part")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one that writes a file and what belongs to it.

    The lock is a file beside it, which names process and host; one of a process of this host that is gone counts for
    nothing.

    Raises
    ------
    InUseError
        If another holds it; the message says who.
    """
    lock = path.with_suffix(".lock").absolute()
    if not _taken(lock) and not (_take_away(lock) and _taken(lock)):
        pid, host = _holder(lock)
        raise InUseError(
            f"process {pid} on {host} is at the same training in this folder: wait until it is done, or choose "
            f"another --out; if that process is gone, delete {lock}"
        )
    _mine.add(lock)
    try:
        yield
    finally:
        _mine.discard(lock)
        lock.unlink(missing_ok=True)


def clear_litter(folder: Path) -> None:
    """Remove what killed processes have left in a folder: incomplete files, and locks."""
    for file in folder.glob(".*.part"):
        if (found := PART.fullmatch(file.name)) and _is_litter(file, found["host"], int(found["pid"])):
            file.unlink(missing_ok=True)
    for lock in folder.glob("*.lock"):
        _take_away(lock.absolute())


def _taken(lock: Path) -> bool:
    """Make the lock if there is none."""
    try:
        place = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    except OSError as error:
        raise OutputError(f"{lock}: cannot write ({error.strerror or error})") from None
    with os.fdopen(place, "w", encoding="utf-8") as stream:
        json.dump([os.getpid(), socket.gethostname()], stream)
    return True


def _holder(lock: Path) -> tuple[int, str]:
    """Process and host that hold a lock; process 0 where it does not say so (yet)."""
    try:
        pid, host = json.loads(lock.read_text(encoding="utf-8"))
        return int(pid), str(host)
    except (OSError, ValueError, TypeError):
        return 0, "a host"


def _take_away(lock: Path) -> bool:
    """Remove a lock of a process that is gone; False where it counts. Two that try at once remove one lock once."""
    if not _is_stale(lock):
        return not lock.exists()
    aside = part_of(lock)
    try:
        os.rename(lock, aside)
        if not _is_stale(aside):  # another process took it away and holds its own by now: give that back
            os.link(aside, lock)
    except OSError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    return not lock.exists()


def _is_stale(lock: Path) -> bool:
    pid, host = _holder(lock)
    if not pid:
        return _age(lock) > FORGOTTEN_S
    if host != socket.gethostname():
        return False
    return lock not in _mine if pid == os.getpid() else not _alive(pid)


def _is_litter(file: Path, host: str | None, pid: int) -> bool:
    here = host in (None, this_host())
    return _age(file) > FORGOTTEN_S or (here and pid != os.getpid() and not _alive(pid))


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return 0.0


def _alive(pid: int) -> bool:
    """Whether a process goes on; one that has ended and that nobody has asked after (a zombie) does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
