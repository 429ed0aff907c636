"""Files of a year of real garages, read by two programs and held against sums over the data alone."""

import csv
import re
import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader
from python_calamine import CalamineWorkbook

from domain.access import Access
from domain.history.history_import import HistoryImport
from domain.history.history_mapping import mapping_of
from domain.models import ChargeSession, Installation
from domain.reporting.exports import ExportRow, ExportSource, create_export, exports_by_ids
from domain.roles import ExportFormat, ExportState, Role, UsageDimension
from domain.usage.question import UsageQuestion
from exports.endpoints import file_of
from exports.worker import ExportWorker
from exports.writing import WritingProcess
from tests import factories
from tests.factories import NOW
from tests.fakes import HandClock, RecordingBus

ROOT = Path(__file__).parents[2]
MAPPING = ROOT / "docs/mappings/norway-garages.toml"
REAL = ROOT.parent / "shared/data/norway-garages/sessions.csv"
YEAR = (date(2019, 1, 1), date(2020, 1, 1))

pytestmark = [
    pytest.mark.usefixtures("database"),
    pytest.mark.skipif(not REAL.exists(), reason="the data lie beside the project"),
]


class Garage(NamedTuple):
    """The garage with the most sessions, an owner of it, and who makes files."""

    site: Installation
    owner: Access
    folder: Path
    worker: ExportWorker
    bus: RecordingBus

    async def make(self, source: ExportSource, format: ExportFormat) -> tuple[ExportRow, Path]:
        """The file, and where it lies."""
        export_id = await create_export(self.owner, source, format=format, locale="nb-NO", bus=self.bus)
        assert await self.worker.make_next()
        row = (await exports_by_ids(self.owner, [export_id]))[export_id]
        assert row.state is ExportState.READY, row.error
        return row, file_of(self.folder, export_id, format)

    def question(self, *group_by: UsageDimension) -> UsageQuestion:
        """The year."""
        return UsageQuestion(from_date=YEAR[0], to_date=YEAR[1], installation_ids=(self.site.id,), group_by=group_by)


@pytest.fixture
async def garage(database: object, tmp_path: Path) -> AsyncIterator[Garage]:
    with REAL.open(encoding="utf-8") as file:
        mapping = mapping_of(tomllib.loads(MAPPING.read_text()))
        await HistoryImport(mapping, now=NOW, dry_run=False, on_rejected=lambda _: None).run(file)
    sizes = Counter(await ChargeSession.all().values_list("installation_id", flat=True))
    site = await Installation.get(id=sizes.most_common(1)[0][0])
    owner_id = await factories.a_person("Åse Bjørnsen")
    await factories.a_grant(Role.OWNER, factories.Site(site.id, site.id), user_id=owner_id)
    writing, bus, folder = WritingProcess(), RecordingBus(), tmp_path / "exports"
    worker = ExportWorker(folder=folder, writing=writing, bus=bus, clock=HandClock(NOW))
    yield Garage(site, await factories.access(owner_id), folder, worker, bus)
    writing.close()


def _expected(garage: str) -> Counter[tuple[str, str]]:
    """Wh by (person, month) of the garage's year, from nothing but the file."""
    found: Counter[tuple[str, str]] = Counter()
    with REAL.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            at = row["Start_plugin"] if row["End_plugout"] == "NA" else row["End_plugout"]
            if row["Garage_ID"] == garage and at[6:10] == "2019":
                month, energy = f"{at[6:10]}-{at[3:5]}", int(Decimal(row["El_kWh"].replace(",", ".")) * 1000)
                found[row["User_ID"], month] += energy
    return found


async def test_a_years_workbook_of_a_garage_has_the_sums_of_its_file(garage: Garage) -> None:
    """Every person and month, the sessions behind them, and both totals, alike for two programs that read workbooks."""
    source = ExportSource(usage=garage.question(UsageDimension.USER, UsageDimension.MONTH))
    row, path = await garage.make(source, ExportFormat.XLSX)
    expected = _expected(garage.site.name)
    total = sum(expected.values())
    by_calamine = CalamineWorkbook.from_path(path)
    by_openpyxl = load_workbook(path, read_only=True)
    tables: dict[str, dict[str, list[list[Any]]]] = {
        "calamine": {name: by_calamine.get_sheet_by_name(name).to_python() for name in ("Summary", "Sessions")},
        "openpyxl": {
            name: [list(cells) for cells in by_openpyxl[name].iter_rows(values_only=True)]
            for name in ("Summary", "Sessions")
        },
    }
    by_openpyxl.close()
    assert row.row_count == len(expected)
    for sheets in tables.values():
        *groups, last = sheets["Summary"][-len(expected) - 1 :]
        found = {(str(one[0]), str(one[1])): round(float(str(one[3])) * 1000) for one in groups}
        assert found == dict(expected)
        assert round(float(str(last[3])) * 1000) == total
        sessions = sheets["Sessions"]
        first = next(place for place, one in enumerate(sessions) if one[1] == "Lader") + 1
        assert round(sum(float(str(one[7])) for one in sessions[first:-1]) * 1000) == total
        assert round(float(str(sessions[-1][7])) * 1000) == total


async def test_a_years_report_and_one_persons_part_are_printed(garage: Garage) -> None:
    """The whole has a line a person and month; the part has that person's sessions, and nobody else's name."""
    question = garage.question(UsageDimension.USER, UsageDimension.MONTH)
    row, path = await garage.make(ExportSource(usage=question), ExportFormat.PDF)
    expected = _expected(garage.site.name)
    assert row.row_count == len(expected)
    everybody = {name for name, _ in expected}
    pages = [page.extract_text() for page in PdfReader(path).pages]
    assert {name for name in everybody if name in " ".join(pages).split()} == everybody
    assert f"{sum(expected.values()) / 1000:,.3f}".replace(",", " ").replace(".", ",") in re.sub(r"\s", " ", pages[-1])
    session = await ChargeSession.filter(installation_id=garage.site.id, user_id__isnull=False).first()
    assert session is not None
    source = ExportSource(usage=question, person_id=session.user_id)
    row, path = await garage.make(source, ExportFormat.PDF)
    assert row.row_count == len({month for name, month in expected if name == session.user_name})
    words = set(" ".join(page.extract_text() for page in PdfReader(path).pages).split())
    assert words & everybody == {session.user_name}
