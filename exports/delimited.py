"""Delimited text for programs and spreadsheets, by the customs of a locale. Runs in a process of its own."""

import csv
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from exports.tables import Cell, Sheet, has_decimal_comma

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With those that Japanese spreadsheets take for the same."""


class DelimitedWriter:
    """One text file of one table, UTF-8 with a byte order mark, by which spreadsheets know it."""

    def __init__(self, path: Path, *, language: str = "en") -> None:
        self._language = language
        self._is_comma = has_decimal_comma(language)
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file, delimiter=";" if self._is_comma else ",")

    def begin_sheet(self, sheet: Sheet) -> int:
        """Column headings are written; what stands above a table in a workbook would disturb programs and is left out."""
        self._writer.writerow([column.heading_in(self._language) for column in sheet.columns])
        return 0

    def add_rows(self, number: int, rows: Iterable[Sequence[Cell]], *, bold: bool = False) -> None:  # noqa: ARG002  as workbooks
        """The rows are written; totals (`bold`) are left to who reads the file."""
        if not bold:
            self._writer.writerows([[self._shown(value) for value in row] for row in rows])

    def close(self) -> None:
        """The file is complete."""
        self._file.close()

    def _shown(self, value: Cell) -> str:
        match value:
            case None:
                return ""
            case Decimal():
                return str(value).replace(".", ",") if self._is_comma else str(value)
            case datetime():
                return value.isoformat(sep=" ")
            case date():
                return value.isoformat()
            case str() if value.startswith(_FORMULA_STARTS):
                # A spreadsheet takes such text for a formula; behind an apostrophe it does not.
                return f"'{value}"
        return str(value)
