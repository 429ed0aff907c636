"""The folder of files: drafts, what goes wrong with its disk, and what was left lying there."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from domain.ids import new_id
from domain.reporting.export_jobs import GIVE_UP_AFTER
from domain.reporting.exports import KEPT_FOR

DRAFT = "draft"
"""The name of an unfinished file in its folder, where writers have their scratch files too."""

_SUFFIX = ".part"
_LONGEST = KEPT_FOR + 2 * GIVE_UP_AFTER
"""No file is of use for longer: it is made within an hour and kept for a day."""

_NO_ROOM = "There is no room left on the disk where files are kept: the operator has to make some."
_TOO_LARGE = "The file grew larger than the server may write: ask for a shorter period, or for less."
_WORDS = {errno.ENOSPC: _NO_ROOM, errno.EDQUOT: _NO_ROOM, errno.EFBIG: _TOO_LARGE}


class FolderError(Exception):
    """The folder does not take what is written; `message` tells the person why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@contextlib.contextmanager
def folder_trouble() -> Iterator[None]:
    """Inside: an OSError of the folder becomes a FolderError in words."""
    try:
        yield
    except OSError as error:
        words = f"The folder where files are kept cannot be written ({error.strerror}): the operator has to look at it."
        raise FolderError(_WORDS.get(error.errno or 0, words)) from error


def new_draft(folder: Path, export_id: UUID) -> Path:
    """The folder in which a file is made this time: a worker that has lost the file, and does not know it yet, writes into its own."""
    return folder / f"{export_id}.{new_id()}{_SUFFIX}"


def make_room(draft: Path) -> None:
    """The draft's folder is there, and no older one of the same file. FolderError when it cannot be made.

    A newer one belongs to who took the file up since: ids rise in the order of their making.
    """
    with folder_trouble():
        draft.mkdir(mode=0o700, parents=True)
    for other in draft.parent.glob(f"{draft.name.partition('.')[0]}.*{_SUFFIX}"):
        if other.name < draft.name:
            remove(other)


def remove(draft: Path) -> None:
    """Nothing of the draft is left."""
    shutil.rmtree(draft, ignore_errors=True)


def sweep(folder: Path, now: datetime) -> None:
    """What nobody can want any more is gone: drafts of workers that died, and files past their time that nobody knows of."""
    for path in _listed(folder):
        longest = GIVE_UP_AFTER * 2 if path.suffix == _SUFFIX else _LONGEST
        if _age(path, now) > longest:
            if path.is_dir():
                remove(path)
            else:
                path.unlink(missing_ok=True)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _age(path: Path, now: datetime) -> timedelta:
    try:
        return timedelta(seconds=now.timestamp() - path.stat().st_mtime)
    except OSError:
        return timedelta(0)
