"""Workbooks and text files."""

import zipfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from exports.delimited import DelimitedWriter
from exports.tables import Chart, Column, Kind, Sheet
from exports.workbook import WorkbookWriter

COLUMNS = (
    Column("Who", "Hvem", width=30),
    Column("Energy (kWh)", "Energi (kWh)", Kind.KWH, 14),
    Column("When", "Når", Kind.INSTANT, 19),
)
SHEET = Sheet("Things", "Things", (("Installation", "=1+1"), ("Period", "2026")), COLUMNS)
AT = datetime(2026, 2, 3, 10, 30)  # noqa: DTZ001  spreadsheets know no zones
ROWS = [("Åse", Decimal("7.250"), AT), ("Bob", Decimal("0.001"), None)]


def _part(book: Path, name: str) -> str:
    with zipfile.ZipFile(book) as parts:
        return parts.read(name).decode()


def _book(path: Path, rows: list[tuple[str, Decimal, datetime | None]], language: str = "en") -> None:
    writer = WorkbookWriter(path, language=language)
    number = writer.begin_sheet(SHEET)
    writer.add_rows(number, rows)
    writer.add_rows(number, [("Total", Decimal("7.251"), None)], bold=True)
    writer.close()


def test_a_workbook_has_its_heading_frozen_columns_numbers_dates_and_totals(tmp_path: Path) -> None:
    """Energy is a number with three decimals, an instant a date: both can be summed and sorted."""
    _book(tmp_path / "book.xlsx", ROWS)
    sheet = load_workbook(tmp_path / "book.xlsx")["Things"]
    assert sheet.freeze_panes == "A5"
    assert [cell.value for cell in sheet[4]] == ["Who", "Energy (kWh)", "When"]
    assert [cell.value for cell in sheet[5]] == ["Åse", 7.25, AT]
    assert sheet["B5"].number_format == "#,##0.000_)"
    assert sheet["B7"].value == 7.251
    assert sheet["B7"].font.bold
    assert int(sheet.column_dimensions["A"].width) == 30
    values = CalamineWorkbook.from_path(tmp_path / "book.xlsx").get_sheet_by_name("Things").to_python()
    assert values[4] == ["Åse", 7.25, AT]
    assert values[6][:2] == ["Total", 7.251]


def test_a_page_is_printed_as_far_as_paper_needs_it(tmp_path: Path) -> None:
    """Without the columns for programs and the chart beside them; headings have room for two lines, and the line above totals no gap."""
    columns = (*SHEET.columns, Column("Session", "Økt-id", width=38, is_printed=False))
    writer = WorkbookWriter(tmp_path / "book.xlsx")
    number = writer.begin_sheet(Sheet("Things", "Things", SHEET.heading, columns))
    writer.add_rows(number, [("Åse", Decimal(1), AT, "id")])
    writer.add_rows(number, [("Total", Decimal(1), None, None)], bold=True)
    writer.close()
    sheet = load_workbook(tmp_path / "book.xlsx")["Things"]
    assert sheet.print_area == "'Things'!$A$1:$C$6"
    assert sheet.row_dimensions[4].height == 30
    assert [cell.border.top.style for cell in sheet[6]] == ["thin"] * 4
    assert [cell.alignment.horizontal for cell in sheet[4]] == ["left", "right", "left", "left"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", '=HYPERLINK("http://x","y")'])
def test_names_that_look_like_formulas_stay_text(tmp_path: Path, name: str) -> None:
    """In workbooks as text cells, in delimited text behind an apostrophe."""
    _book(tmp_path / "book.xlsx", [(name, Decimal(1), None)])
    assert "<f>" not in _part(tmp_path / "book.xlsx", "xl/worksheets/sheet1.xml")
    cell = load_workbook(tmp_path / "book.xlsx")["Things"]["A5"]
    assert cell.data_type == "s"
    assert str(cell.value).strip() == name.strip()
    writer = DelimitedWriter(tmp_path / "text.csv")
    writer.add_rows(writer.begin_sheet(SHEET), [(name, Decimal(1), None)])
    writer.close()
    text = (tmp_path / "text.csv").read_bytes().decode("utf-8-sig").partition("\r\n")[2]
    assert text.lstrip('"').startswith("'" + name[0])


@pytest.mark.parametrize("name", ["<r><t>x</t></r>", "<r></c><f>1+1</f></r>", "_x0041_", "a<b>&'\"", " x "])
def test_names_that_look_like_markup_stay_text(tmp_path: Path, name: str) -> None:
    """Also what the library that writes the workbook would take for its own."""
    _book(tmp_path / "book.xlsx", [(name, Decimal(1), None)])
    cell = CalamineWorkbook.from_path(tmp_path / "book.xlsx").get_sheet_by_name("Things").to_python()[4][0]
    assert str(cell).strip() == name.strip()


def test_rows_that_do_not_fit_go_on_on_another_sheet(tmp_path: Path) -> None:
    """Each with the heading block and the column headings; the totals stand below the last row."""
    writer = WorkbookWriter(tmp_path / "book.xlsx", most_rows=8)
    number = writer.begin_sheet(SHEET)
    other = writer.begin_sheet(Sheet("Others", "Others", (), COLUMNS))
    for place in range(10):
        writer.add_rows(number, [(f"Person {place}", Decimal(place), AT)])
    writer.add_rows(other, ROWS)
    writer.add_rows(number, [("Total", Decimal(45), None)], bold=True)
    writer.close()
    book = CalamineWorkbook.from_path(tmp_path / "book.xlsx")
    assert book.sheet_names == ["Things", "Others", "Things 2", "Things 3"]
    pages = [book.get_sheet_by_name(name).to_python() for name in ("Things", "Things 2", "Things 3")]
    assert [row[1] for page in pages for row in page[4:]] == [*map(float, range(10)), 45.0]
    assert [page[:4] for page in pages] == [pages[0][:4]] * 3
    assert max(map(len, pages)) == 8


def test_a_chart_stands_beside_its_table(tmp_path: Path) -> None:
    """Bars of what is on a hidden sheet, by things from top to bottom or by time from left to right."""
    for is_time, direction in ((False, "bar"), (True, "col")):
        chart = Chart("Energy", "Energi", (("=Åse", Decimal("7.25")), ("Bob", Decimal(1))), is_time)
        writer = WorkbookWriter(tmp_path / "book.xlsx", language="nb")
        writer.add_rows(writer.begin_sheet(Sheet("Things", "Things", (), COLUMNS, chart)), ROWS)
        writer.close()
        book = load_workbook(tmp_path / "book.xlsx")
        assert [(sheet.title, sheet.sheet_state) for sheet in book] == [("Things", "visible"), ("Chart", "hidden")]
        assert [cell.value for cell in book["Chart"]["A"]] == ["=Åse", "Bob"]
        drawn = _part(tmp_path / "book.xlsx", "xl/charts/chart1.xml")
        assert f'<c:barDir val="{direction}"/>' in drawn
        assert "<a:t>Energi</a:t>" in drawn
        assert "Chart!$B$1:$B$2" in drawn


def test_signs_that_no_workbook_may_hold_are_replaced(tmp_path: Path) -> None:
    """A control sign in a name must not make the file unreadable."""
    _book(tmp_path / "book.xlsx", [("A\x00B", Decimal(1), None)])
    assert load_workbook(tmp_path / "book.xlsx")["Things"]["A5"].value == "A\ufffdB"


def test_delimited_text_follows_the_customs_of_its_locale(tmp_path: Path) -> None:
    """Norwegian spreadsheets want semicolons and decimal commas."""
    expected = {
        "en": "Who,Energy (kWh),When\r\nÅse,7.250,2026-02-03 10:30:00\r\nBob,0.001,\r\n",
        "nb": "Hvem;Energi (kWh);Når\r\nÅse;7,250;2026-02-03 10:30:00\r\nBob;0,001;\r\n",
    }
    for language, text in expected.items():
        writer = DelimitedWriter(tmp_path / "text.csv", language=language)
        number = writer.begin_sheet(SHEET)
        writer.add_rows(number, ROWS)
        writer.add_rows(number, [("Total", Decimal("7.251"), None)], bold=True)
        writer.close()
        assert (tmp_path / "text.csv").read_bytes().decode("utf-8-sig") == text
