"""Documents for print."""

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from pypdf import PdfReader

from exports.printed import PrintedWriter
from exports.tables import Chart, Column, Kind, Sheet

COLUMNS = (
    Column("Who", "Hvem", width=30),
    Column("Energy (kWh)", "Energi (kWh)", Kind.KWH, 14),
    Column("When", "Når", Kind.INSTANT, 19),
    Column("Session", "Økt-id", width=38, is_printed=False),
)
AT = datetime(2026, 2, 3, 10, 30)  # noqa: DTZ001  paper knows no zones
HEADING = (("Installation", "Bjørnsens ærlige åsgård — đ, ŋ, š, ž, ł, ß"), ("Note", "word " * 60))
CHART = Chart("Energy", "Energi", (("Åse", Decimal("1234.5")), ("Bob", Decimal(1))))
A4_POINTS = (595, 842)


def _pages(path: Path, sheets: list[tuple[Sheet, int]], language: str = "nb") -> list[str]:
    writer = PrintedWriter(path, language=language)
    for sheet, count in sheets:
        number = writer.begin_sheet(sheet)
        writer.add_rows(
            number, [(f"Øyvind {place}", Decimal("1234.500"), AT, "id")[: len(sheet.columns)] for place in range(count)]
        )
        writer.add_rows(number, [("Total", Decimal("1234.500") * count, None, None)[: len(sheet.columns)]], bold=True)
    writer.close()
    return [page.extract_text() for page in PdfReader(path).pages]


def test_a_document_repeats_its_head_counts_its_pages_and_ends_with_the_totals(tmp_path: Path) -> None:
    """A4; the heading block once, the column headings on each page, numbers and words of the language."""
    pages = _pages(tmp_path / "it.pdf", [(Sheet("Things", "Things", HEADING, COLUMNS, CHART), 120)])
    assert len(pages) > 2
    for number, text in enumerate(pages, start=1):
        assert "Energi (kWh)" in text
        assert f"Side {number} av {len(pages)}" in text
        assert "Økt-id" not in text
    assert "Bjørnsens ærlige åsgård — đ, ŋ, š, ž, ł, ß" in pages[0]
    assert "Øyvind 0" in pages[0]
    assert "2026-02-03 10:30" in pages[0]
    assert "148 140,000" in re.sub(r"\s", " ", pages[-1])
    box = PdfReader(tmp_path / "it.pdf").pages[0].mediabox
    assert (int(box.width), int(box.height) + 1) == A4_POINTS


def test_wide_tables_lie_on_their_side_and_each_keeps_its_own_way(tmp_path: Path) -> None:
    """One sheet upright, the next across, the next upright again."""
    wide = Sheet("Wide", "Wide", HEADING, (Column("Name", "Navn", width=200),))
    narrow = Sheet("Narrow", "Narrow", HEADING, COLUMNS[:1])
    _pages(tmp_path / "it.pdf", [(narrow, 1), (wide, 1), (narrow, 1)])
    boxes = [page.mediabox for page in PdfReader(tmp_path / "it.pdf").pages]
    assert [box.width > box.height for box in boxes] == [False, True, False]


def test_texts_of_any_kind_are_printed_in_lines_that_fit(tmp_path: Path) -> None:
    """Long words, control signs, signs that the letters lack, nothing at all, and what looks like markup."""
    writer = PrintedWriter(tmp_path / "it.pdf", language="en")
    sheet = Sheet(
        "Things", "Things", (("Installation", ""),), COLUMNS, Chart("Energy", "Energi", (("", Decimal(0)),) * 2)
    )
    number = writer.begin_sheet(sheet)
    for text in ("x" * 5_000, "a\x00b\nc", "漢字", "", "<b>&amp;</b>", "\ud800"):
        writer.add_rows(number, [(text, None, None, None)])
    writer.close()
    text = " ".join(page.extract_text() for page in PdfReader(tmp_path / "it.pdf").pages)
    assert "<b>&amp;</b>" in text
    assert "x…" in text


def test_a_document_without_rows_is_one_page(tmp_path: Path) -> None:
    """It says whose it would be."""
    assert len(_pages(tmp_path / "it.pdf", [(Sheet("Things", "Things", HEADING, COLUMNS), 0)], "en")) == 1
