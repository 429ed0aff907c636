"""Workbooks, written row by row in constant memory: generic, whatever the sheets are about. Runs in a process of its own."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from exports.tables import Cell, Chart, Kind, Sheet

LONGEST_TEXT = 32_767
"""The most signs that a cell holds (Excel's limits; ECMA-376 sets none)."""

MOST_ROWS = 1_048_576
"""The most rows that a sheet holds."""

_FORMATS = {
    Kind.COUNT: "#,##0",
    Kind.KWH: "#,##0.000",
    Kind.HOURS: "#,##0.00",
    Kind.INSTANT: "yyyy-mm-dd hh:mm:ss",
}
_A4 = 9
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Signs that XML 1.0 cannot hold."""

_BAR_HEIGHT, _CHART_WIDTH, _CHART_FRAME = 20, 640, 120
"""Pixels."""


@dataclass(slots=True)
class _Table:
    """A sheet being written: the page that rows go to, and how many rows that page has."""

    sheet: Sheet
    page: Worksheet
    used: int
    pages: int = 1


class WorkbookWriter:
    """One workbook being written. Sheets are begun in the order in which they will stand, rows come in any number of calls.

    What does not fit on a sheet goes on on another one of the same name with a number. Beside the file it needs room for the same,
    uncompressed, in the file's folder; OSError when there is none.
    """

    def __init__(self, path: Path, *, language: str = "en", most_rows: int = MOST_ROWS) -> None:
        self._language = language
        self._most_rows = most_rows
        # No formula and no link is ever made: cells are written by their types.
        self._book = Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent)})
        self._book.use_zip64()
        self._tables: list[_Table] = []
        self._charts: list[tuple[Worksheet, Chart, int]] = []
        self._plain = {kind: self._book.add_format({"num_format": _FORMATS.get(kind, "General")}) for kind in Kind}
        self._bold = {
            kind: self._book.add_format({"num_format": _FORMATS.get(kind, "General"), "bold": True, "top": 1})
            for kind in Kind
        }
        self._name = self._book.add_format({"bold": True})
        self._heading = self._book.add_format(
            {"bold": True, "bg_color": "#DDE6EE", "valign": "top", "text_wrap": True, "bottom": 1}
        )

    def begin_sheet(self, sheet: Sheet) -> int:
        """The number of a new sheet with its heading block and frozen column headings; rows are added to it by that number."""
        page, used = self._page(sheet, sheet.title)
        if sheet.chart is not None:
            self._charts.append((page, sheet.chart, len(sheet.columns)))
        self._tables.append(_Table(sheet, page, used))
        return len(self._tables) - 1

    def add_rows(self, number: int, rows: Iterable[Sequence[Cell]], *, bold: bool = False) -> None:
        """The rows stand at the end of that sheet, and where it is full, on the next of its name."""
        table = self._tables[number]
        formats = [(self._bold if bold else self._plain)[column.kind] for column in table.sheet.columns]
        for row in rows:
            if table.used >= self._most_rows:
                table.pages += 1
                table.page, table.used = self._page(table.sheet, f"{table.sheet.title} {table.pages}")
            _write_row(table.page, table.used, row, formats)
            table.used += 1

    def close(self) -> None:
        """The file is complete."""
        for number, (page, chart, columns) in enumerate(self._charts, start=1):
            self._draw(page, chart, columns, "Chart" if number == 1 else f"Chart {number}")
        try:
            self._book.close()
        except FileCreateError as error:
            raise error.__context__ if isinstance(error.__context__, OSError) else OSError(str(error)) from error

    def _page(self, sheet: Sheet, title: str) -> tuple[Worksheet, int]:
        """A new page with everything above its rows, and how many rows that is."""
        page = self._book.add_worksheet(title)
        for place, column in enumerate(sheet.columns):
            page.set_column(place, place, column.width)
        above = len(sheet.heading) + 1 if sheet.heading else 0
        for place, (name, text) in enumerate(sheet.heading):
            page.write_string(place, 0, _text(name), self._name)
            page.write_string(place, 1, _text(text))
        for place, column in enumerate(sheet.columns):
            page.write_string(above, place, _text(column.heading_in(self._language)), self._heading)
        page.freeze_panes(above + 1, 0)
        page.repeat_rows(above)
        page.set_paper(_A4)
        page.set_landscape()
        page.fit_to_pages(1, 0)
        page.set_footer("&L&A&R&P / &N")
        return page, above + 1

    def _draw(self, page: Worksheet, chart: Chart, columns: int, title: str) -> None:
        """The chart stands to the right of the table; what it is drawn from lies on a hidden sheet."""
        points = self._book.add_worksheet(title)
        points.hide()
        for place, (label, value) in enumerate(chart.points):
            points.write_string(place, 0, _text(label))
            points.write_number(place, 1, float(value), self._plain[Kind.KWH])
        if not chart.points:
            return
        # Things are read from top to bottom, time from left to right.
        drawing = self._book.add_chart({"type": "column" if chart.is_time else "bar"})
        assert drawing is not None  # noqa: S101  both types exist
        last = len(chart.points) - 1
        drawing.add_series(
            {
                "categories": [title, 0, 0, last, 0], "values": [title, 0, 1, last, 1], "gap": 40,
                "fill": {"color": "#2E6F9E"},
            }
        )  # fmt: skip
        drawing.set_title({"name": chart.heading_in(self._language), "name_font": {"size": 12}})
        drawing.set_legend({"none": True})
        drawing.set_y_axis({"major_gridlines": {"visible": chart.is_time}, "reverse": not chart.is_time})
        drawing.set_x_axis({"major_gridlines": {"visible": not chart.is_time}})
        height = 360 if chart.is_time else _CHART_FRAME + _BAR_HEIGHT * len(chart.points)
        drawing.set_size({"width": _CHART_WIDTH, "height": height})
        page.insert_chart(0, columns + 1, drawing)


def _write_row(page: Worksheet, place: int, row: Sequence[Cell], formats: Sequence[Format]) -> None:
    for column, (value, format) in enumerate(zip(row, formats, strict=True)):
        match value:
            case None:
                pass
            case str():
                page.write_string(place, column, _text(value), format)
            case datetime():
                page.write_datetime(place, column, value, format)
            case _:
                # Spreadsheets keep every number as a double; whole Wh as kWh survive that exactly.
                page.write_number(place, column, float(value), format)


def _text(text: str) -> str:
    """Text that stays text, whatever it begins with: a name like `=HYPERLINK(…)` must never be carried out."""
    plain = _UNWRITABLE.sub("\ufffd", text.replace("\r", "\n"))[:LONGEST_TEXT]
    if plain.startswith("<r>") and plain.endswith("</r>"):
        # XlsxWriter takes this for markup of its own and would write it unescaped.
        return f" {plain}"[:LONGEST_TEXT]
    return plain
