"""Workbooks and text files."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from exports.delimited import DelimitedWriter
from exports.tables import Column, Kind, Sheet
from exports.workbook import WorkbookWriter

COLUMNS = (
    Column("Who", "Hvem", width=30),
    Column("Energy (kWh)", "Energi (kWh)", Kind.KWH, 14),
    Column("When", "Når", Kind.INSTANT, 19),
)
SHEET = Sheet("Things", (("Installation", "=1+1"), ("Period", "2026")), COLUMNS)
AT = datetime(2026, 2, 3, 10, 30)  # noqa: DTZ001  spreadsheets know no zones
ROWS = [("Åse", Decimal("7.250"), AT), ("Bob", Decimal("0.001"), None)]


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
    assert sheet["B5"].number_format == "#,##0.000"
    assert sheet["B7"].value == 7.251
    assert sheet["B7"].font.bold
    assert sheet.column_dimensions["A"].width == 30
    values = CalamineWorkbook.from_path(tmp_path / "book.xlsx").get_sheet_by_name("Things").to_python()
    assert values[4] == ["Åse", 7.25, AT]
    assert values[6][:2] == ["Total", 7.251]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", '=HYPERLINK("http://x","y")'])
def test_names_that_look_like_formulas_stay_text(tmp_path: Path, name: str) -> None:
    """In workbooks as text cells, in delimited text behind an apostrophe."""
    _book(tmp_path / "book.xlsx", [(name, Decimal(1), None)])
    cell = load_workbook(tmp_path / "book.xlsx")["Things"]["A5"]
    assert cell.data_type == "s"
    assert str(cell.value).strip() == name.strip()
    writer = DelimitedWriter(tmp_path / "text.csv")
    writer.add_rows(writer.begin_sheet(SHEET), [(name, Decimal(1), None)])
    writer.close()
    text = (tmp_path / "text.csv").read_bytes().decode("utf-8-sig").partition("\r\n")[2]
    assert text.lstrip('"').startswith("'" + name[0])


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
