"""Documents for print (PDF, A4): the same sheets as a workbook's, one after another. Runs in a process of its own.

The letters are DejaVu's, which has those of every European language.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from reportlab.graphics.charts.barcharts import HorizontalBarChart, VerticalBarChart
from reportlab.graphics.shapes import Drawing, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase.pdfmetrics import registerFont, stringWidth
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    LongTable,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Spacer,
    Table,
    TableStyle,
)

from exports.tables import Cell, Chart, Column, Kind, Sheet, has_decimal_comma

_FONTS = Path(__file__).parent / "fonts"
_PLAIN, _BOLD = "DejaVuSans", "DejaVuSans-Bold"
_SIZE, _TITLE_SIZE = 7.5, 14.0
_LEADING = 1.3
_MARGIN = 14 * mm
_GAP = 4 * mm
_PADDING = 3.0
_LABEL_WIDTH = 28 * mm
_INK, _RULE, _SHADE, _BAR = HexColor("#1C2733"), HexColor("#B8C4CE"), HexColor("#DDE6EE"), HexColor("#2E6F9E")
_WIDE = 110
"""Signs of all columns together from which a page lies on its side."""

_MOST_BARS, _BAR_HEIGHT, _CHART_HEIGHT = 12, 11.0, 45 * mm
_MOST_LINES = 12
"""A text that needs more ends with an ellipsis: a row must fit on a page."""

_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]+")


@dataclass(slots=True)
class _Part:
    """A sheet with its rows, as texts; `bold` has the places of totals."""

    sheet: Sheet
    columns: list[Column]
    rows: list[list[str]] = field(default_factory=list)
    bold: list[int] = field(default_factory=list)

    @property
    def pagesize(self) -> tuple[float, float]:
        """Upright unless the columns need more."""
        return landscape(A4) if sum(column.width for column in self.columns) > _WIDE else A4


class PrintedWriter:
    """One document being written: it is laid out when it is closed, so all of it is in memory until then."""

    def __init__(self, path: Path, *, language: str = "en") -> None:
        self._path = path
        self._language = language
        self._parts: list[_Part] = []
        for name in (_PLAIN, _BOLD):
            registerFont(TTFont(name, str(_FONTS / f"{name}.ttf")))

    def begin_sheet(self, sheet: Sheet) -> int:
        """The number of a new table with its heading block; rows are added to it by that number."""
        self._parts.append(_Part(sheet, [column for column in sheet.columns if column.is_printed]))
        return len(self._parts) - 1

    def add_rows(self, number: int, rows: Iterable[Sequence[Cell]], *, bold: bool = False) -> None:
        """The rows stand at the end of that table."""
        part = self._parts[number]
        for row in rows:
            if bold:
                part.bold.append(len(part.rows))
            cells = zip(row, part.sheet.columns, strict=True)
            part.rows.append([self._shown(value) for value, column in cells if column.is_printed])

    def close(self) -> None:
        """The file is complete."""
        story: list[Flowable] = []
        for number, part in enumerate(self._parts):
            if number:
                story += [NextPageTemplate(str(part.pagesize)), PageBreak()]
            story += self._laid_out(part, is_first=number == 0)
        sizes = list(dict.fromkeys(part.pagesize for part in self._parts)) or [A4]
        heading = self._parts[0].sheet.heading if self._parts else ()
        document = BaseDocTemplate(
            str(self._path),
            pageTemplates=[_template(size) for size in sizes],
            title=_plain(heading[0][1]) if heading else "",
            creator="Lade",
        )
        document.build(story, canvasmaker=_PAGES[self._language in ("nb", "nn", "no")])

    def _laid_out(self, part: _Part, *, is_first: bool) -> list[Flowable]:
        width = part.pagesize[0] - 2 * _MARGIN
        story: list[Flowable] = []
        # What stands above the first table holds for the others, too.
        if is_first and part.sheet.heading:
            story += [_title(part.sheet.heading[0][1], width), _block(part.sheet.heading, width), Spacer(0, _GAP)]
        elif part.sheet.heading:
            story += [_title(part.sheet.title, width), Spacer(0, _GAP / 2)]
        if part.sheet.chart is not None and len(part.sheet.chart.points) > 1:
            story += [_drawn(part.sheet.chart, width, self._language), Spacer(0, _GAP)]
        story.append(self._table(part, width))
        return story

    def _table(self, part: _Part, width: float) -> Table:
        signs = sum(column.width for column in part.columns)
        widths = [width * column.width / signs for column in part.columns]
        headings = [column.heading_in(self._language) for column in part.columns]
        rows, bold = [_wrapped(headings, widths, _BOLD)], set(part.bold)
        for place, row in enumerate(part.rows):
            rows.append(_wrapped(row, widths, _BOLD if place in bold else _PLAIN))
        style: list[Any] = [
            ("FONT", (0, 0), (-1, -1), _PLAIN, _SIZE, _SIZE * _LEADING),
            ("FONT", (0, 0), (-1, 0), _BOLD, _SIZE, _SIZE * _LEADING),
            ("TEXTCOLOR", (0, 0), (-1, -1), _INK),
            ("BACKGROUND", (0, 0), (-1, 0), _SHADE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.25, _RULE),
            ("TOPPADDING", (0, 0), (-1, -1), _PADDING * 0.6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), _PADDING * 0.8),
            ("LEFTPADDING", (0, 0), (-1, -1), _PADDING),
            ("RIGHTPADDING", (0, 0), (-1, -1), _PADDING),
        ]
        for place, column in enumerate(part.columns):
            if column.kind not in (Kind.TEXT, Kind.INSTANT, Kind.DATE):
                style.append(("ALIGN", (place, 0), (place, -1), "RIGHT"))
        for place in part.bold:
            style += [
                ("FONT", (0, place + 1), (-1, place + 1), _BOLD, _SIZE, _SIZE * _LEADING),
                ("LINEABOVE", (0, place + 1), (-1, place + 1), 0.75, _INK),
            ]
        return LongTable(rows, colWidths=widths, repeatRows=1, style=TableStyle(style), hAlign="LEFT")

    def _shown(self, value: Cell) -> str:
        match value:
            case None:
                return ""
            case datetime():
                return f"{value:%Y-%m-%d %H:%M}"
            case date():
                return value.isoformat()
            case int() | Decimal():
                # A narrow space no line breaks at, as in Norwegian and by ISO 80000-1.
                text = f"{value:,}".replace(",", "\u202f")
                return text.replace(".", ",") if has_decimal_comma(self._language) else text
        return _plain(value)


def _plain(text: str) -> str:
    return _UNWRITABLE.sub(" ", text)


def _wrapped(texts: Sequence[str], widths: Sequence[float], font: str) -> list[str]:
    """Each text in as many lines as its column needs; a word that is longer than a line is cut."""
    return [_lines(text, font, width - 2 * _PADDING) for text, width in zip(texts, widths, strict=True)]


def _lines(text: str, font: str, width: float) -> str:
    found: list[str] = []
    for line in simpleSplit(text, font, _SIZE, width):
        while len(line) > 1 and _width(line, font) > width:
            most = max(1, int(len(line) * width / _width(line, font)))
            found.append(line[:most])
            line = line[most:]
        found.append(line)
    if len(found) > _MOST_LINES:
        found[_MOST_LINES - 1 :] = [f"{found[_MOST_LINES - 1]}…"]
    return "\n".join(found)


def _width(text: str, font: str) -> float:
    return float(stringWidth(text, font, _SIZE))


def _title(text: str, width: float) -> Table:
    shown = "\n".join(simpleSplit(_plain(text), _BOLD, _TITLE_SIZE, width))
    font = ("FONT", (0, 0), (-1, -1), _BOLD, _TITLE_SIZE, _TITLE_SIZE * _LEADING)
    style: list[Any] = [font, ("TEXTCOLOR", (0, 0), (-1, -1), _INK), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    return Table([[shown]], colWidths=[width], style=TableStyle(style), hAlign="LEFT")


def _block(heading: Sequence[tuple[str, str]], width: float) -> Table:
    """The heading block: names to the left, what they say to the right."""
    widths = [_LABEL_WIDTH, width - _LABEL_WIDTH]
    rows = [
        [_lines(_plain(name), _BOLD, widths[0]), _lines(_plain(text), _PLAIN, widths[1] - _PADDING)]
        for name, text in heading
    ]
    style: list[Any] = [
        ("FONT", (0, 0), (-1, -1), _PLAIN, _SIZE, _SIZE * _LEADING),
        ("FONT", (0, 0), (0, -1), _BOLD, _SIZE, _SIZE * _LEADING),
        ("TEXTCOLOR", (0, 0), (-1, -1), _INK),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 0.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
    ]
    return Table(rows, colWidths=widths, style=TableStyle(style), hAlign="LEFT")


def _drawn(chart: Chart, width: float, language: str) -> Drawing:
    """Bars: of things from the top down, at most a dozen; of time from left to right."""
    points = list(chart.points)
    if not chart.is_time and len(points) > _MOST_BARS:
        rest = points[_MOST_BARS - 1 :]
        points = [*points[: _MOST_BARS - 1], (f"+ {len(rest)}", sum((value for _, value in rest), Decimal(0)))]
    height = _CHART_HEIGHT if chart.is_time else _BAR_HEIGHT * len(points) + 4 * _SIZE
    drawing = Drawing(width, height + 2 * _SIZE)
    title = String(0, height + 0.6 * _SIZE, _plain(chart.heading_in(language)))
    title.fontName, title.fontSize, title.fillColor = _BOLD, _SIZE, _INK
    drawing.add(title)
    bars: Any = VerticalBarChart() if chart.is_time else HorizontalBarChart()
    shown = points if chart.is_time else points[::-1]
    names = [_shortened(_plain(label), 34) for label, _ in shown]
    left = 14 * mm if chart.is_time else max(_width(name, _PLAIN) for name in names) + 2 * _PADDING
    bars.x, bars.y, bars.width = left, 2.6 * _SIZE, width - left - 4 * mm
    bars.height = height - bars.y
    bars.data = [[float(value) for _, value in shown]]
    bars.valueAxis.valueMin = 0
    if not any(value for _, value in shown):
        bars.valueAxis.valueMax = 1
    bars.categoryAxis.categoryNames = names
    bars.bars[0].fillColor, bars.bars[0].strokeColor = _BAR, None
    bars.groupSpacing = 2
    for axis in (bars.valueAxis, bars.categoryAxis):
        axis.labels.fontName, axis.labels.fontSize, axis.labels.fillColor = _PLAIN, _SIZE * 0.9, _INK
        axis.strokeColor = _RULE
        axis.visibleTicks = False
    bars.valueAxis.visibleGrid, bars.valueAxis.gridStrokeColor, bars.valueAxis.gridStrokeWidth = True, _RULE, 0.25
    bars.valueAxis.labelTextFormat = _axis_text
    if chart.is_time:
        # So many labels that they stand apart from each other.
        every = -(-len(names) // max(1, int(width // (14 * mm))))
        bars.categoryAxis.categoryNames = [name if place % every == 0 else "" for place, name in enumerate(names)]
    drawing.add(bars)
    return drawing


def _axis_text(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f") if value == int(value) else f"{value:g}"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _template(size: tuple[float, float]) -> PageTemplate:
    # Room for the page's number is in the lower margin.
    frame = Frame(
        _MARGIN, _MARGIN, size[0] - 2 * _MARGIN, size[1] - 2 * _MARGIN,
        leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0,
    )  # fmt: skip
    return PageTemplate(id=str(size), frames=[frame], pagesize=size)


class _Pages(Canvas):
    """Pages that say which of how many they are: kept until the last is known."""

    words = "Page {page} of {pages}"

    def __init__(self, *given: Any, **further: Any) -> None:
        super().__init__(*given, **further)
        self._kept: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  the library's name
        """The page is kept."""
        self._kept.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]  # the usual way, which its types do not know

    def save(self) -> None:
        """Every page is written with its number."""
        for number, kept in enumerate(self._kept, start=1):
            self.__dict__.update(kept)
            self.setFont(_PLAIN, _SIZE)
            self.setFillColor(_INK)
            text = self.words.format(page=number, pages=len(self._kept))
            width = kept["_pagesize"][0]
            self.drawRightString(width - _MARGIN, _MARGIN / 2, text)
            super().showPage()
        super().save()


class _NorwegianPages(_Pages):
    words = "Side {page} av {pages}"


_PAGES = (_Pages, _NorwegianPages)
