"""`lade import-sessions`: historical sessions from any CSV, by a mapping (docs/imports.md)."""

import asyncio
import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.database import database_of, migrate, opened
from app.settings import OperatorError, load_settings
from domain.clock import SystemClock
from domain.history.history_import import HistoryImport, ImportResult
from domain.history.history_mapping import HistoryMapping, MappingError, Rejection, mapping_of
from domain.units import kwh

_SHOWN_REJECTIONS = 50


@click.command("import-sessions")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--mapping", required=True, type=click.Path(path_type=Path), help="How the file is read: docs/imports.md."
)
@click.option("--dry-run", is_flag=True, help="Read and report everything, store nothing.")
@click.option("--rejects", type=click.Path(path_type=Path), help="Write every rejected line's number and reason here.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on standard output.")
def import_sessions_command(file: Path, mapping: Path, dry_run: bool, rejects: Path | None, as_json: bool) -> None:
    """Import historical charge sessions from a CSV file; people, chargers and installations are made as needed.

    A second run adds nothing. Lines that cannot be read are reported with their numbers and do not stop the rest.
    """
    asyncio.run(import_sessions(file, mapping, dry_run=dry_run, as_json=as_json, rejects=rejects))


async def import_sessions(
    file: Path, mapping_file: Path, *, dry_run: bool, as_json: bool, rejects: Path | None
) -> None:
    """The sessions of the file are in the portal, and a report of them is printed.

    OperatorError for a file or mapping that cannot be used; lines that cannot be read are reported and do not stop the others.
    """
    mapping = _read_mapping(mapping_file)
    settings = load_settings()
    database = database_of(settings)
    await migrate(database)
    report = _Report(rejects)
    with _opened(file, mapping) as text, report:
        history = HistoryImport(mapping, now=SystemClock().now(), dry_run=dry_run, on_rejected=report.rejected)
        try:
            async with opened(database):
                result = await history.run(_with_progress(text, history.result))
        except MappingError as error:
            raise OperatorError(f"{mapping_file} does not fit {file}: {error}") from error
    report.summarise(result, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(_figures(result), separators=(",", ":")))


def _figures(result: ImportResult) -> dict[str, int]:
    return {
        "sessions": result.sessions,
        "installations": result.installations,
        "people": result.people,
        "energyWh": result.energy_wh,
        "added": result.added,
        "rejected": result.rejected,
    }


def _read_mapping(path: Path) -> HistoryMapping:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return mapping_of(content)
    except OSError as error:
        raise OperatorError(f"The mapping {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"The mapping {path} is not TOML: {error}. docs/imports.md shows one.") from error
    except MappingError as error:
        raise OperatorError(f"{path}: {error} docs/imports.md describes every field.") from error


@contextmanager
def _opened(path: Path, mapping: HistoryMapping) -> Iterator[TextIOWrapper]:
    try:
        # Bytes that the encoding does not know must spoil their own line only.
        text = path.open(encoding=mapping.file.encoding, errors="surrogateescape")
    except OSError as error:
        raise OperatorError(f"The file {path} cannot be read: {error.strerror}.") from error
    with text:
        yield text


def _with_progress(text: TextIOWrapper, result: ImportResult) -> Iterator[str]:
    """The lines; on a terminal with a bar of how far they are."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from text
        return
    columns = (
        TextColumn("{task.fields[sessions]} sessions, {task.fields[rejected]} rejected"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    size = os.fstat(text.fileno()).st_size
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("import", total=size or None, sessions=0, rejected=0)
        for number, line in enumerate(text):
            if number % 1_000 == 0:
                completed = os.lseek(text.fileno(), 0, os.SEEK_CUR)
                progress.update(task, completed=completed, sessions=result.sessions, rejected=result.rejected)
            yield line
        progress.update(task, completed=size, sessions=result.sessions, rejected=result.rejected)


class _Report:
    """What people read on standard error: the first rejected lines as they come, all of them in a file when one is named."""

    def __init__(self, rejects: Path | None) -> None:
        self._path = rejects
        self._shown = 0

    def __enter__(self) -> "_Report":
        try:
            self._file = None if self._path is None else self._path.open("w", encoding="utf-8")
        except OSError as error:
            raise OperatorError(f"The rejects cannot be written to {self._path}: {error.strerror}.") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def rejected(self, rejection: Rejection) -> None:
        words = f"line {rejection.line}: {rejection.reason}"
        if self._file is not None:
            self._file.write(words + "\n")
        self._shown += 1
        if self._shown <= _SHOWN_REJECTIONS:
            click.echo(words, err=True)

    def summarise(self, result: ImportResult, *, dry_run: bool) -> None:
        if self._shown > _SHOWN_REJECTIONS:
            more = "they are all in the file" if self._path else "--rejects FILE writes them all"
            click.echo(f"… and {self._shown - _SHOWN_REJECTIONS} more; {more}", err=True)
        verb = "would be added" if dry_run else "added"
        click.echo(
            f"{result.sessions} sessions of {result.people} people at {result.chargers} chargers in {result.installations} "
            f"installations, {kwh(result.energy_wh)} kWh; {result.added} {verb}, {result.sessions - result.added} were there, "
            f"{result.rejected} lines rejected",
            err=True,
        )
        if result.open_ended:
            click.echo(
                f"{result.open_ended} sessions have no end ({kwh(result.open_ended_wh)} kWh): kept, ended at their start, "
                "flagged END_INFERRED",
                err=True,
            )
