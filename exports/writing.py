"""Files are written by one process beside the server, which ends with it however it ends."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from domain.roles import ExportFormat
from exports.delimited import DelimitedWriter
from exports.tables import Cell, Sheet

_PR_SET_PDEATHSIG = 1
_WATCH_EVERY_S = 1.0
_NICE = 5

P = ParamSpec("P")
T = TypeVar("T")


class _Writer(Protocol):
    def begin_sheet(self, sheet: Sheet) -> int: ...

    def add_rows(self, number: int, rows: Sequence[Sequence[Cell]], *, bold: bool = False) -> None: ...

    def close(self) -> None: ...


def _workbook(path: Path, *, language: str) -> _Writer:
    # In here it is imported by the writing process alone: the server never needs its megabytes.
    from exports.workbook import WorkbookWriter

    return WorkbookWriter(path, language=language)


def _printed(path: Path, *, language: str) -> _Writer:
    # As above: its twenty megabytes.
    from exports.printed import PrintedWriter

    return PrintedWriter(path, language=language)


WRITERS: dict[ExportFormat, Callable[..., _Writer]] = {
    ExportFormat.XLSX: _workbook,
    ExportFormat.CSV: DelimitedWriter,
    ExportFormat.PDF: _printed,
}


class WriterGoneError(Exception):
    """The writing process ended, so what it had begun is lost; beginning again is fine."""


class WritingProcess:
    """The process, begun when it is first needed, and again after it has ended."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns there. WriterGoneError when the process has ended.

        Call it from the main thread's loop: Linux ends the process when the thread that began it ends.
        """
        if kwargs:
            raise TypeError("a function of the other process takes positions only")
        pool = self._pool
        if pool is None:
            pool = self._pool = ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_end_with_parent,
                initargs=(os.getpid(),),
            )
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, function, *args)
        except BrokenProcessPool as error:
            self._pool = None
            pool.shutdown(wait=False)
            raise WriterGoneError from error

    def renew(self) -> None:
        """The next call begins a new process; this one ends after what it is at, and lets go of what it has open."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def close(self) -> None:
        """The process has ended, after what it is at."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _end_with_parent(parent_pid: int) -> None:
    """The process does not outlive its parent, also when that is killed: it asks Linux for a signal, and looks by itself elsewhere.

    Where there is not enough of a processor for both, it is the one that waits: chargers are answered first.
    """
    os.nice(_NICE)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent's Ctrl-C reaches the whole group; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(_WATCH_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


# In the writing process: the file that it is at. There is one process, and one file at a time.
_open: dict[str, _Writer] = {}


def begin_file(path: str, format_name: str, language: str) -> None:
    """A file is begun; what was begun before and never finished is forgotten."""
    _open.clear()
    _open[path] = WRITERS[ExportFormat(format_name)](Path(path), language=language)


def begin_sheet(path: str, sheet: Sheet) -> int:
    """The number of the sheet."""
    return _open[path].begin_sheet(sheet)


def add_rows(path: str, number: int, rows: Sequence[Sequence[Cell]], bold: bool) -> None:
    """The rows are in the sheet."""
    _open[path].add_rows(number, rows, bold=bold)


def finish_file(path: str) -> int:
    """The size of the complete file."""
    _open.pop(path).close()
    return Path(path).stat().st_size
