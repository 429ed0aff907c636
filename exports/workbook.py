"""Workbooks, written row by row in constant memory: generic, whatever the sheets are about. Runs in a process of its own."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from exports.tables import Cell, Chart, Kind, Sheet

LONGEST_TEXT = 32_767
"""The most signs that a cell holds (Excel's limits; ECMA-376 sets none)."""

MOST_ROWS = 1_048_576
"""The most rows that a sheet holds."""

_FORMATS = {
    Kind.COUNT: "#,##0_)",
    Kind.KWH: "#,##0.000_)",
    Kind.HOURS: "#,##0.00_)",
    Kind.INSTANT: "yyyy-mm-dd hh:mm:ss",
    Kind.DATE: "yyyy-mm-dd",
    Kind.MONEY: "#,##0.00#_)",
    Kind.PRICE: "#,##0.00####_)",
}
_NUMBERS = frozenset({Kind.COUNT, Kind.KWH, Kind.HOURS, Kind.MONEY, Kind.PRICE})
_HEADING_HEIGHT = 30
"""Points: two lines."""
_MOST_LABELS = 16
"""Of an axis of time: more would stand on each other."""
_A4 = 9
_DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001  spreadsheets know no zones
_DAY_S = 86_400
_ESCAPE = re.compile("(_x[0-9A-Fa-f]{4}_)")
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Signs that XML 1.0 cannot hold."""

_GRID = {"visible": True, "line": {"color": "#D5DCE2", "width": 0.5}}
_BAR_HEIGHT, _CHART_WIDTH, _CHART_FRAME = 20, 640, 120
"""Pixels."""


@dataclass(slots=True)
class _Table:
    """A sheet being written: the page that rows go to, and how many rows that page has."""

    sheet: Sheet
    page: Any
    """A Worksheet; rows go straight to its scratch file, of which its types do not speak."""
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
        self._plain = {kind: self._book.add_format(_looks(kind)) for kind in Kind}
        self._bold = {kind: self._book.add_format({**_looks(kind), "bold": True, "top": 1}) for kind in Kind}
        self._name = self._book.add_format({"bold": True})
        heading = {"bold": True, "bg_color": "#DDE6EE", "valign": "top", "text_wrap": True, "bottom": 1}
        self._headings = {kind: self._book.add_format({**heading, **_side(kind)}) for kind in Kind}

    def begin_sheet(self, sheet: Sheet) -> int:
        """The number of a new sheet with its heading block and frozen column headings; rows are added to it by that number."""
        page, used = self._page(sheet, sheet.name)
        if sheet.chart is not None:
            self._charts.append((page, sheet.chart, len(sheet.columns)))
        self._tables.append(_Table(sheet, page, used))
        return len(self._tables) - 1

    def add_rows(self, number: int, rows: Iterable[Sequence[Cell]], *, bold: bool = False) -> None:
        """The rows stand at the end of that sheet, and where it is full, on the next of its name."""
        table = self._tables[number]
        formats = [(self._bold if bold else self._plain)[column.kind] for column in table.sheet.columns]
        cells = [(f'<c r="{xl_col_to_name(place)}', f'" s="{_style(format)}"') for place, format in enumerate(formats)]
        for row in rows:
            if table.used >= self._most_rows:
                _end_page(table)
                table.pages += 1
                table.page, table.used = self._page(table.sheet, f"{table.sheet.name} {table.pages}")
            table.used += 1
            table.page.row_data_fh.write(_row(table.used, row, cells, is_ruled=bold))
            table.page.dim_rowmax = table.used - 1

    def close(self) -> None:
        """The file is complete."""
        for table in self._tables:
            _end_page(table)
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
        # Rows of this kind of file do not grow with their text.
        page.set_row(above, _HEADING_HEIGHT)
        for place, column in enumerate(sheet.columns):
            page.write_string(above, place, _text(column.heading_in(self._language)), self._headings[column.kind])
        # The last of these rows goes to the page's scratch file now: all further ones follow it there.
        page._write_single_row()
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
                "categories_data": [label for label, _ in chart.points],
                "values_data": [float(value) for _, value in chart.points],
                "fill": {"color": "#2E6F9E"},
            }
        )  # fmt: skip
        drawing.set_title({"name": chart.heading_in(self._language), "name_font": {"size": 12}})
        drawing.set_legend({"none": True})
        if chart.is_time:
            drawing.set_x_axis({"interval_unit": -(-len(chart.points) // _MOST_LABELS)})
            drawing.set_y_axis({"major_gridlines": _GRID, "num_format": "#,##0"})
        else:
            # The first stands on top, and the scale below the last.
            drawing.set_y_axis({"major_gridlines": {"visible": False}, "reverse": True, "crossing": "max"})
            drawing.set_x_axis({"major_gridlines": _GRID, "num_format": "#,##0"})
        height = 360 if chart.is_time else _CHART_FRAME + _BAR_HEIGHT * len(chart.points)
        drawing.set_size({"width": _CHART_WIDTH, "height": height})
        page.insert_chart(0, columns + 1, drawing)


def _looks(kind: Kind) -> dict[str, Any]:
    return {"num_format": _FORMATS.get(kind, "General"), **_side(kind)}


def _side(kind: Kind) -> dict[str, Any]:
    """Numbers stand to the right, by their formats a little apart from what comes next; text and dates to the left."""
    return {"align": "right" if kind in _NUMBERS else "left"}


def _end_page(table: _Table) -> None:
    """What is printed of it: the columns up to the last that paper needs; a chart beside them would make all of it small."""
    last = max(place for place, column in enumerate(table.sheet.columns) if column.is_printed)
    table.page.print_area(0, 0, table.used - 1, last)


def _style(format: Format) -> int:
    """The number by which cells name the format."""
    return int(format._get_xf_index())  # type: ignore[no-untyped-call]  # it has no annotations


def _row(number: int, row: Sequence[Cell], cells: Sequence[tuple[str, str]], *, is_ruled: bool = False) -> str:
    """The row as SpreadsheetML (ECMA-376 part 1, 18.3.1.73): XlsxWriter would take five times as long for each cell. `is_ruled`: the
    line above it goes through where nothing stands.
    """
    parts = [f'<row r="{number}">']
    for value, (head, style) in zip(row, cells, strict=True):
        match value:
            case None:
                if is_ruled:
                    parts.append(f"{head}{number}{style}/>")
            case str():
                shown = _escaped(value)
                parts.append(f'{head}{number}{style} t="inlineStr"><is><t xml:space="preserve">{shown}</t></is></c>')
            case datetime():
                parts.append(f"{head}{number}{style}><v>{_serial(value)}</v></c>")
            case date():
                parts.append(f"{head}{number}{style}><v>{(value - _DAY_ZERO.date()).days}</v></c>")
            case _:
                # Spreadsheets keep every number as a double; whole Wh as kWh survive that exactly.
                parts.append(f"{head}{number}{style}><v>{value}</v></c>")
    parts.append("</row>")
    return "".join(parts)


def _serial(instant: datetime) -> float:
    """Days since the zeroth of January 1900, as spreadsheets count them from March 1900 on."""
    since = instant - _DAY_ZERO
    return since.days + since.seconds / _DAY_S


@lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    """As SpreadsheetML has it; what looks like an escape of its own (18.4.12) is taken by its letters."""
    return escape(_ESCAPE.sub(r"_x005F\1", _text(text)))


def _text(text: str) -> str:
    """Text that stays text, whatever it begins with: a name like `=HYPERLINK(…)` must never be carried out."""
    plain = _UNWRITABLE.sub("\ufffd", text.replace("\r", "\n"))[:LONGEST_TEXT]
    if plain.startswith("<r>") and plain.endswith("</r>"):
        # XlsxWriter takes this for markup of its own and would write it unescaped.
        return f" {plain}"[:LONGEST_TEXT]
    return plain
