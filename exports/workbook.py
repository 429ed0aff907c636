"""Workbooks, written row by row in constant memory: generic, whatever the sheets are about. Runs in a process of its own."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.cell.cell import Cell as SheetCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from exports.tables import Cell, Column, Kind, Sheet

LONGEST_TEXT = 32_767
"""The most signs that a cell holds (ECMA-376, SpreadsheetML limits of Excel)."""

MOST_ROWS = 1_048_576
"""The most rows that a sheet holds."""

_FORMATS = {
    Kind.COUNT: "#,##0",
    Kind.KWH: "#,##0.000",
    Kind.HOURS: "#,##0.00",
    Kind.INSTANT: "yyyy-mm-dd hh:mm:ss",
}
_BOLD = Font(bold=True)
_SHADED = PatternFill("solid", fgColor="DDE6EE")
_WRAPPED = Alignment(vertical="top", wrap_text=True)


class WorkbookWriter:
    """One workbook being written. Sheets are begun in the order in which they will stand, rows come in any number of calls."""

    def __init__(self, path: Path, *, language: str = "en") -> None:
        self._path = path
        self._language = language
        self._book = Workbook(write_only=True)
        self._sheets: list[tuple[Worksheet, Sequence[Column]]] = []
        self._rows: list[int] = []

    def begin_sheet(self, sheet: Sheet) -> int:
        """The number of a new sheet with its heading block and frozen column headings; rows are added to it by that number."""
        page = cast(Worksheet, self._book.create_sheet(sheet.title))
        above = len(sheet.heading) + 2 if sheet.heading else 1
        page.freeze_panes = f"A{above + 1}"
        for place, column in enumerate(sheet.columns, start=1):
            page.column_dimensions[get_column_letter(place)].width = column.width
        for name, text in sheet.heading:
            page.append([_text(page, name, bold=True), _text(page, text)])
        if sheet.heading:
            page.append([])
        page.append([_heading(page, column.heading_in(self._language)) for column in sheet.columns])
        self._sheets.append((page, sheet.columns))
        self._rows.append(above)
        return len(self._sheets) - 1

    def add_rows(self, number: int, rows: Iterable[Sequence[Cell]], *, bold: bool = False) -> None:
        """The rows stand at the end of that sheet. OverflowError when it is full."""
        page, columns = self._sheets[number]
        for row in rows:
            if self._rows[number] >= MOST_ROWS:
                raise OverflowError(f"A sheet holds {MOST_ROWS} rows; ask for a shorter period.")
            self._rows[number] += 1
            page.append([_cell(page, value, column, bold=bold) for value, column in zip(row, columns, strict=True)])

    def close(self) -> None:
        """The file is complete."""
        self._book.save(self._path)


def _cell(page: Worksheet, value: Cell, column: Column, *, bold: bool) -> SheetCell | None:
    match value:
        case None:
            return None
        case str():
            return _text(page, value, bold=bold)
        case int() | Decimal() | datetime():
            # Spreadsheets keep every number as a double; whole Wh as kWh survive that exactly.
            cell = WriteOnlyCell(page, value=float(value) if isinstance(value, Decimal) else value)
            cell.number_format = _FORMATS.get(column.kind, "General")
            if bold:
                cell.font = _BOLD
            return cell


def _heading(page: Worksheet, text: str) -> SheetCell:
    cell = _text(page, text, bold=True)
    cell.fill, cell.alignment = _SHADED, _WRAPPED
    return cell


def _text(page: Worksheet, text: str, *, bold: bool = False) -> SheetCell:
    """Text that stays text, whatever it begins with: a name like `=HYPERLINK(…)` must never be carried out."""
    cell = WriteOnlyCell(page, value=ILLEGAL_CHARACTERS_RE.sub("\ufffd", text)[:LONGEST_TEXT])
    cell.data_type = "s"
    if bold:
        cell.font = _BOLD
    return cell
