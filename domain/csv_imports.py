"""Tables that people import: CSV with a header line, read and judged whole before anything is done with it. Pure."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.errors import ErrorCode, ValidationError, invalid
from domain.periods import start_of
from domain.roles import ImportAction

MOST_BYTES: Final = 1024 * 1024
MOST_LINES: Final = 5_000
"""Below the header, those that are empty not counted."""
LONGEST_CELL: Final = 500
_PATH: Final = "csv"
_SHOWN: Final = 60
"""Characters of a cell that a message repeats."""
_YES: Final = frozenset({"yes", "y", "true", "1", "x", "ja", "j"})
_NO: Final = frozenset({"", "no", "n", "false", "0", "nei"})
_FORMULA: Final = re.compile(r"[=@\t\r]|[+-](?![\d ]*$)")
"""How a cell begins that a spreadsheet would run. A sign before a number, such as that of a telephone, is none."""
_EARLIEST, _LATEST = date(1970, 1, 2), date(2200, 1, 1)


@dataclass(frozen=True, slots=True)
class ImportLine:
    """What one line does, or would do; `line` counts from 1, the header, as editors do. `text` is for people."""

    line: int
    action: ImportAction
    text: str


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """All or nothing: `is_applied` is False for a dry run, and when any line was rejected."""

    is_applied: bool
    lines: Sequence[ImportLine]


class RejectedError(Exception):
    """A line cannot be taken; the text says to a person why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line below the header. `problem` says why it cannot be taken as it is; then its cells are not to be used."""

    number: int
    cells: Mapping[str, str]
    problem: str | None = None

    def __getitem__(self, column: str) -> str:
        """The cell, without white space around it; empty where the table has no such column."""
        return self.cells.get(column, "")

    def optional(self, column: str) -> str | None:
        """The cell; None when it is empty."""
        return self[column] or None

    def flag(self, column: str) -> bool:
        """Whether the cell says yes; an empty one says no. RejectedError for other words."""
        word = self[column].casefold()
        if word not in _YES | _NO:
            raise RejectedError(f"{column}: write yes or no, not {shown(self[column])}.")
        return word in _YES

    def instant(self, column: str, zone: ZoneInfo, *, is_end: bool = False) -> datetime | None:
        """The cell as an instant; None when it is empty. A date alone is the beginning of that local day, or with `is_end` its end.

        RejectedError when it is neither a date nor an instant with an offset.
        """
        text = self[column]
        if not text:
            return None
        found = _date(text)
        if found is not None and _EARLIEST <= found < _LATEST:
            return start_of(found + timedelta(days=1) if is_end else found, zone)
        instant = _instant(text)
        if instant is None or not _EARLIEST <= instant.date() < _LATEST:
            example = "a date such as 2026-03-31, or an instant with its offset such as 2026-03-31T18:00:00+02:00"
            raise RejectedError(f"{column}: {shown(text)} is neither; write {example}.")
        return instant


def shown(text: str) -> str:
    """The text as a message repeats it: in quotes, short, and without anything that could disturb."""
    kept = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"“{''.join(one if one.isprintable() else '�' for one in kept)}”"


def read_table(content: str, *, columns: Sequence[str], needed: Sequence[str] = ()) -> list[Line]:
    """The lines of the table, in order. Columns go by their headings, without regard to case, spaces, hyphens and underscores; comma or
    semicolon separates them, as the header line shows.

    ValidationError at `csv`: too large or too many lines (TOO_LARGE), no header, a heading that is unknown, twice there or missing,
    quotes that never end. What is wrong in one line is that line's `problem`.
    """
    if len(content.encode(errors="replace")) > MOST_BYTES:
        raise invalid(_PATH, "The text is larger than 1 MiB: import it in parts.", ErrorCode.TOO_LARGE)
    rows = _rows(content.removeprefix("\ufeff"))
    header = next(rows, None)
    if header is None:
        raise invalid(_PATH, f"There is no header line; its headings are among {', '.join(columns)}.")
    names = _names(header[1], columns, needed)
    lines: list[Line] = []
    for number, cells in rows:
        if len(lines) == MOST_LINES:
            message = f"There are more than {MOST_LINES:,} lines below the header: import them in parts."
            raise invalid(_PATH, message, ErrorCode.TOO_LARGE)
        lines.append(_line(number, cells, names))
    return lines


def _rows(content: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the line where it begins, cells) of every row that is not empty, the header first."""
    first = next((line for line in io.StringIO(content, newline="") if line.strip()), "")
    delimiter = ";" if first.count(";") >= max(1, first.count(",")) else ","
    # Lines end as in files: not at the separators of Unicode, which may be in a name.
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield number, [cell.strip() for cell in cells]
            number = reader.line_num + 1
    except csv.Error as error:
        message = (
            f"From line {number} on this is no CSV ({error}): look for a quotation mark that is missing or too many."
        )
        raise invalid(_PATH, message) from error


def _names(headings: Sequence[str], columns: Sequence[str], needed: Sequence[str]) -> list[str | None]:
    """The column of each heading; None where the heading is empty, as behind a separator too many."""
    known = {_folded(column): column for column in columns}
    names: list[str | None] = []
    for heading in headings:
        name = known.get(_folded(heading))
        if heading and name is None:
            raise invalid(_PATH, f"The heading {shown(heading)} is unknown; known are {', '.join(columns)}.")
        if name is not None and name in names:
            raise invalid(_PATH, f"The heading {name} is there twice.")
        names.append(name)
    missing = [column for column in needed if column not in names]
    if missing:
        raise invalid(_PATH, f"The heading {missing[0]} is missing in the first line.")
    return names


def _folded(heading: str) -> str:
    return re.sub(r"[\s_-]", "", heading).casefold()


def _line(number: int, cells: Sequence[str], names: Sequence[str | None]) -> Line:
    if any(cells[len(names) :]):
        return Line(number, {}, f"There are more cells than headings: {len(cells)}, not {len(names)}.")
    found = {}
    for name, cell in zip(names, cells, strict=False):
        if name is None and cell:
            return Line(number, {}, f"The cell {shown(cell)} stands in a column without a heading.")
        problem = None if name is None else _problem(cell)
        if problem is not None:
            return Line(number, {}, f"{name}: {problem}")
        if name is not None:
            found[name] = cell
    return Line(number, found)


def _problem(cell: str) -> str | None:
    if len(cell) > LONGEST_CELL:
        return f"a cell has at most {LONGEST_CELL} characters, this one {len(cell):,}."
    if any(ord(one) < 32 or ord(one) == 127 or 0xD800 <= ord(one) < 0xE000 for one in cell):
        return "there are control characters or line breaks in the cell."
    if _FORMULA.match(cell):
        return f"{shown(cell)} looks like the formula of a spreadsheet."
    return None


def _date(text: str) -> date | None:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _instant(text: str) -> datetime | None:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})", text, re.ASCII):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def rejected(line: int, error: Exception) -> ImportLine:
    """The line with what kept it from being taken."""
    problems = error.problems if isinstance(error, ValidationError) else ()
    text = " ".join(f"{problem.path[-1] if problem.path else _PATH}: {problem.message}" for problem in problems)
    return ImportLine(line, ImportAction.REJECT, text or str(error))
