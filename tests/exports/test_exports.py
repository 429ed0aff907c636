"""Who may have which file, and what is in it."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader
from python_calamine import CalamineWorkbook

from domain.errors import NotFoundError, ValidationError
from domain.filters import ANYTHING, Comparison, Every, Not, Some, Term
from domain.ids import new_id
from domain.models import ChargeSession, Export, Permission
from domain.pages import PageRequest
from domain.pricing.money import MICRO
from domain.pricing.parts import TariffPart, part_text
from domain.reporting.exports import (
    ExportSource,
    cancel_export,
    create_export,
    exports_by_ids,
    exports_page,
)
from domain.reporting.reports import LockWish, lock_report
from domain.reporting.stored_filters import filter_from, filter_to
from domain.roles import (
    CostUnit,
    DateQuality,
    ExportFormat,
    ExportState,
    ReportBasis,
    ReportKind,
    SessionFlag,
    SessionState,
    UsageDimension,
    Weekday,
)
from domain.sessions import sessions_page
from domain.summaries import usage_summary
from domain.usage.question import UsageFilter, UsageQuestion
from domain.views.report_views import locked_reports_by_ids
from exports.words import words_of
from tests import factories
from tests.exports.office import Office, some_sessions, usage
from tests.factories import NOW, Town


async def test_a_workbook_has_the_rows_of_the_api_and_the_sessions_behind_them(town: Town, office: Office) -> None:
    """Every figure of the summary, to the Wh, read by two programs."""
    await some_sessions(town)
    source = usage(town, group_by=(UsageDimension.USER, UsageDimension.DAY))
    made = await office.make(town, source)
    assert (made.state, made.progress, made.row_count) == (ExportState.READY, 1.0, 2)
    assert made.file_name == "fjordveien-garage-2026-02-01-2026-03-01.xlsx"
    assert made.size_bytes == office.path(made).stat().st_size
    assert made.expires_at == NOW + timedelta(hours=24)
    assert source.usage is not None
    summary = await usage_summary(await town.access("OWNER of installation"), source.usage)
    book = CalamineWorkbook.from_path(office.path(made))
    table = book.get_sheet_by_name("Summary").to_python()
    first = next(place for place, row in enumerate(table) if row[0] == "Person") + 1
    shown = [(row[0], row[1], row[2], row[3]) for row in table[first : first + 2]]
    assert shown == [(*row.labels, row.usage.session_count, row.usage.energy_wh / 1000) for row in summary.rows]
    assert table[first + 2][:4] == ["Total", "", 3, summary.total.energy_wh / 1000]
    sessions = book.get_sheet_by_name("Sessions").to_python()
    assert [row[7] for row in sessions[-4:]] == [1.001, 1.002, 1.003, 3.006]
    assert sessions[-4][4] == datetime(2026, 2, 3, 10)  # noqa: DTZ001  local time of Oslo
    cell = next(row for row in load_workbook(office.path(made))["Sessions"].iter_rows() if row[2].value == "=Kari")[2]
    assert cell.data_type == "s"


@pytest.mark.parametrize("basis", list(ReportBasis))
async def test_the_sessions_add_up_to_the_summary_under_every_basis(
    town: Town, office: Office, basis: ReportBasis
) -> None:
    """Also where only part of a session lies in the period."""
    await some_sessions(town)
    start = datetime(2026, 1, 31, 20, tzinfo=UTC)
    await factories.a_session(town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=7))
    source = usage(town, basis=basis)
    made = await office.make(town, source, kind=ReportKind.SESSIONS, format=ExportFormat.CSV)
    assert source.usage is not None
    summary = await usage_summary(await town.access("OWNER of installation"), source.usage)
    lines = office.path(made).read_text(encoding="utf-8-sig").splitlines()
    assert made.row_count == len(lines) - 1 == summary.total.session_count
    assert round(sum(float(line.split(",")[7]) for line in lines[1:]) * 1000) == summary.total.energy_wh


async def test_history_is_exported_as_far_as_it_may_be_seen(town: Town, office: Office) -> None:
    """A driver's file has the driver's sessions; a filter narrows it."""
    await some_sessions(town)
    everything = await office.make(town, ExportSource(sessions=ANYTHING), "USER of charger", kind=ReportKind.SESSIONS)
    assert everything.row_count == 2
    energy = Term("energyWh", Comparison.AT_LEAST, 1_003)
    some = await office.make(town, ExportSource(sessions=energy), "USER of charger", kind=ReportKind.SESSIONS)
    assert some.row_count == 1


async def test_what_a_correction_replaced_is_marked_in_a_file_and_not_on_paper(town: Town, office: Office) -> None:
    """It counts in neither: a driver's file says VOID beside it, and paper, which has no flags, leaves it out."""
    await some_sessions(town)
    await ChargeSession.filter(energy_wh=1_001 + 1).update(
        state=SessionState.VOID, flags=int(SessionFlag.VOID), energy_wh=None
    )
    source = ExportSource(sessions=ANYTHING)
    table = await office.make(town, source, "USER of charger", kind=ReportKind.SESSIONS)
    rows = [one for one in load_workbook(office.path(table))["Sessions"].iter_rows(values_only=True) if one[0]]
    assert table.row_count == 2
    assert [one[11] for one in rows[-3:-1]].count("VOID") == 1
    assert (rows[-1][0], rows[-1][7]) == ("Total of 1 sessions", 1.003)
    paper = await office.make(town, source, "USER of charger", kind=ReportKind.SESSIONS, format=ExportFormat.PDF)
    assert paper.row_count == 1


async def test_ones_own_period_needs_no_right(town: Town, office: Office) -> None:
    """Whoever charged takes their own home."""
    await some_sessions(town)
    own = UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1))
    made = await office.make(town, ExportSource(usage=own), "USER of charger")
    assert (made.row_count, made.file_name) == (2, "my-charging-2026-02-01-2026-03-01.xlsx")


async def test_rights_are_looked_at_again_when_the_file_is_made(town: Town, office: Office) -> None:
    """A right that ended meanwhile: the file fails, and says no more than that there is nothing."""
    access = await town.access("OWNER of installation")
    export_id = await create_export(access, usage(town), bus=office.bus)
    await Permission.filter(user_id=access.user_id).update(revoked_at=NOW - timedelta(seconds=1))
    assert await office.worker.make_next()
    row = (await exports_by_ids(access, [export_id]))[export_id]
    assert (row.state, row.error) == (ExportState.FAILED, NotFoundError().message)
    assert not office.path(row).exists()


@pytest.mark.parametrize("person", [name for name in factories.PEOPLE if name != "OWNER of installation"])
async def test_only_owners_export_an_installation(town: Town, office: Office, person: str) -> None:
    """Hidden and absent look the same."""
    access = await town.access(person)
    with pytest.raises(NotFoundError) as hidden:
        await create_export(access, usage(town), bus=office.bus)
    absent = UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1), installation_ids=(new_id(),))
    with pytest.raises(NotFoundError) as none:
        await create_export(access, ExportSource(usage=absent), bus=office.bus)
    assert (hidden.value.message, hidden.value.path) == (none.value.message, none.value.path)
    assert await Export.all().count() == 0


async def test_everybody_sees_and_cancels_their_own_files_only(town: Town, office: Office) -> None:
    """Another's file looks absent."""
    owner = await town.access("OWNER of installation")
    export_id = await create_export(owner, usage(town), bus=office.bus)
    for person in ("ADMINISTRATOR", "SERVICE", "not signed in"):
        other = await town.access(person)
        assert await exports_by_ids(other, [export_id]) == {}
        assert (await exports_page(other, PageRequest(first=10))).rows in ([], ())
    for missing in (export_id, new_id()):
        with pytest.raises(NotFoundError):
            await cancel_export(await town.access("ADMINISTRATOR"), missing, bus=office.bus)
    assert [row.id for row in (await exports_page(owner, PageRequest(first=10))).rows] == [export_id]
    await cancel_export(owner, export_id, bus=office.bus)
    assert (await exports_by_ids(owner, [export_id]))[export_id].state is ExportState.CANCELLED
    assert not await office.worker.make_next()


async def test_what_cannot_be_made_is_refused(town: Town, office: Office) -> None:
    """Kinds and formats that there are none of yet, and wrong questions."""
    owner = await town.access("OWNER of installation")
    with pytest.raises(ValidationError):
        await create_export(owner, ExportSource(sessions=ANYTHING), bus=office.bus, kind=ReportKind.COST)
    with pytest.raises(ValidationError):
        await create_export(owner, ExportSource(sessions=ANYTHING), bus=office.bus)
    with pytest.raises(ValidationError):
        await create_export(owner, usage(town, where=UsageFilter(min_energy_wh=-1)), bus=office.bus)


async def test_a_workbook_of_when_energy_was_taken_has_a_sheet_of_hours(town: Town, office: Office) -> None:
    """Each hour with its instant, so that the two hours 02 of an autumn night differ; their total is that of the summary."""
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    await factories.a_session(
        town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=3), energy_wh=3_000
    )
    question = UsageQuestion(
        from_date=date(2026, 10, 1),
        to_date=date(2026, 11, 1),
        installation_ids=(town.site.id,),
        basis=ReportBasis.INTERVAL,
    )
    made = await office.make(town, ExportSource(usage=question))
    book = load_workbook(office.path(made))
    assert book.sheetnames[:3] == ["Summary", "Sessions", "Hours"]
    rows = list(book["Hours"].iter_rows(values_only=True))[-5:]
    assert [(row[0], row[1], row[2]) for row in rows[:4]] == [
        (datetime(2026, 10, 25, 1), datetime(2026, 10, 24, 23), 0.5),  # noqa: DTZ001  spreadsheets know no zones
        (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 0), 1.0),  # noqa: DTZ001
        (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 1), 1.0),  # noqa: DTZ001
        (datetime(2026, 10, 25, 3), datetime(2026, 10, 25, 2), 0.5),  # noqa: DTZ001
    ]
    assert rows[4][2] == 3.0


async def test_an_owner_prints_one_persons_part_and_a_person_their_own(town: Town, office: Office) -> None:
    """The figures and the sessions of that person alone; a stranger's part is not there, for an owner and for anybody else."""
    await some_sessions(town)
    kari = town.people["USER of charger"]
    source = replace(usage(town, group_by=(UsageDimension.USER, UsageDimension.MONTH)), person_id=kari)
    part = await office.make(town, source, format=ExportFormat.PDF, locale="nb-NO")
    assert (part.state, part.row_count) == (ExportState.READY, 1)
    text = " ".join(page.extract_text() for page in PdfReader(office.path(part)).pages)
    assert "Person USER of charger" in text.replace("\n", " ")
    assert "2,005" in text
    assert "Not identified" not in text
    own = UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1))
    for person_id in (None, kari):
        mine = await office.make(
            town, ExportSource(usage=own, person_id=person_id), "USER of charger", format=ExportFormat.PDF
        )
        assert mine.state is ExportState.READY
        assert "Total of 2 sessions" in " ".join(page.extract_text() for page in PdfReader(office.path(mine)).pages)
    owner, driver = await town.access("OWNER of installation"), await town.access("USER of charger")
    for access, wrong in (
        (owner, replace(source, person_id=town.people["stranger"])),
        (owner, replace(source, person_id=new_id())),
        (driver, source),
        (driver, ExportSource(usage=own, person_id=town.people["OWNER of installation"])),
        (owner, usage(town, where=UsageFilter(user_ids=(town.people["USER of installation"],)))),
    ):
        wrong = replace(wrong, person_id=wrong.person_id or kari)
        with pytest.raises(NotFoundError):
            await create_export(access, wrong, format=ExportFormat.PDF, bus=office.bus)
    history = ExportSource(sessions=ANYTHING, person_id=kari)
    with pytest.raises(ValidationError):
        await create_export(driver, history, kind=ReportKind.SESSIONS, bus=office.bus)


async def test_a_report_that_nobody_would_print_is_refused_in_words(town: Town, office: Office) -> None:
    """More lines than a hundred pages have; as a workbook it can be had."""
    await some_sessions(town, 4)
    office.worker.most_printed = 3
    refused = await office.make(town, usage(town), kind=ReportKind.SESSIONS, format=ExportFormat.PDF)
    assert (refused.state, refused.error) == (
        ExportState.FAILED,
        "A PDF has at most 3 lines: ask for a shorter period, or for XLSX.",
    )
    made = await office.make(town, usage(town), kind=ReportKind.SESSIONS, format=ExportFormat.XLSX)
    assert (made.state, made.row_count) == (ExportState.READY, 4)


async def test_everyone_exports_the_history_that_they_may_see(town: Town, office: Office) -> None:
    """Their own and what their roles show, with the names that they may see; the same sessions that the API lists for them."""
    await some_sessions(town)
    for person in factories.PEOPLE:
        made = await office.make(
            town, ExportSource(sessions=ANYTHING), person, kind=ReportKind.SESSIONS, format=ExportFormat.CSV
        )
        seen = (await sessions_page(await town.access(person), PageRequest(first=100))).rows
        lines = list(csv.DictReader(office.path(made).read_text(encoding="utf-8-sig").splitlines()))
        assert [line["Session"] for line in lines[: len(seen)]] == [str(row.id) for row in seen]
        assert {line["Person"].lstrip("'") for line in lines} <= {row.user_name or "Not identified" for row in seen}
        assert made.row_count == len(seen)
    counts = {"OWNER of installation": 3, "OWNER of charger": 1, "USER of charger": 2, "SERVICE": 0, "stranger": 0}
    for person, count in counts.items():
        assert len((await sessions_page(await town.access(person), PageRequest(first=100))).rows) == count


def test_filters_survive_being_stored() -> None:
    """Ids, instants, flags and numbers come back as they were."""
    condition = Every(
        (
            Term("chargerId", Comparison.ONE_OF, (new_id(), new_id())),
            Some((Term("startedAt", Comparison.BELOW, NOW), Not(Term("energyWh", Comparison.AT_LEAST, 3)))),
            Term("flags", Comparison.ONE_OF, (SessionFlag.OFFLINE, SessionFlag.SIGNED)),
            Term("dateQuality", Comparison.ONE_OF, (DateQuality.EXACT,)),
            Term("externalId", Comparison.EQUALS, "x"),
        )
    )
    assert filter_from(filter_to(condition)) == condition


async def _january(town: Town, day: int, energy_wh: int) -> None:
    start = datetime(2026, 1, day, 9, tzinfo=UTC)
    await factories.a_session(
        town.site,
        town.charger_id,
        user_id=town.people["USER of charger"],
        user_name="=Kari",
        started_at=start,
        ended_at=start + timedelta(hours=1),
        energy_wh=energy_wh,
    )


async def _locked(town: Town) -> UUID:
    """A report of February by person and month that corrects January by 0.4 kWh; its sessions are others by now."""
    owner = await town.access("OWNER of installation")
    await _january(town, 3, 1_000)
    by = (UsageDimension.USER, UsageDimension.MONTH)
    await lock_report(owner, town.site.id, LockWish(date(2026, 1, 1), date(2026, 2, 1), group_by=by))
    await _january(town, 20, 400)
    await some_sessions(town)
    report = await lock_report(owner, town.site.id, LockWish(date(2026, 2, 1), date(2026, 3, 1), group_by=by))
    await ChargeSession.all().update(energy_wh=9_999)
    return report


async def test_a_workbook_of_a_locked_report_has_the_locked_figures(town: Town, office: Office) -> None:
    """Whatever the sessions say by now: its groups, what it corrects, the sessions behind it, and how it is known."""
    report = await _locked(town)
    made = await office.make(town, ExportSource(locked_report_id=report))
    assert (made.state, made.row_count) == (ExportState.READY, 2)
    assert made.file_name == "fjordveien-garage-2026-02-01-2026-03-01-no-2.xlsx"
    book = CalamineWorkbook.from_path(office.path(made))
    assert book.sheet_names == ["Summary", "Corrections", "Sessions", "Chart"]
    table = book.get_sheet_by_name("Summary").to_python()
    first = next(place for place, row in enumerate(table) if row[0] == "Person") + 1
    assert [row[:4] for row in table[first : first + 3]] == [
        ["=Kari", "2026-02", 2, 2.005],
        ["Not identified", "2026-02", 1, 1.001],
        ["Total", "", 3, 3.006],
    ]
    owner = await town.access("OWNER of installation")
    locked = (await locked_reports_by_ids(owner, [report]))[report]
    revision = next(row[1] for row in table if row[0] == "Revision")
    assert revision == f"2, locked 2026-03-01 13:00 by OWNER of installation, SHA-256 {locked.sha256}"
    corrections = book.get_sheet_by_name("Corrections").to_python()
    assert [row[:5] for row in corrections[-2:]] == [
        ["2026-01-01/2026-02-01", "=Kari", "", 1, 0.4],
        ["Total", "", "", 1, 0.4],
    ]
    sessions = book.get_sheet_by_name("Sessions").to_python()
    assert [row[7] for row in sessions[-4:]] == [1.001, 1.002, 1.003, 3.006]


async def test_csv_of_a_locked_report_has_what_is_to_be_billed(town: Town, office: Office) -> None:
    """The report's own groups and what it corrects in one table, told apart by their period."""
    report = await _locked(town)
    made = await office.make(town, ExportSource(locked_report_id=report), format=ExportFormat.CSV, locale="en")
    lines = [line.split(",")[:5] for line in office.path(made).read_text("utf-8-sig").splitlines()]
    assert lines == [
        ["Period", "Person", "Month", "Sessions", "Energy (kWh)"],
        ["2026-02-01/2026-03-01", "'=Kari", "2026-02", "2", "2.005"],
        ["2026-02-01/2026-03-01", "Not identified", "2026-02", "1", "1.001"],
        ["2026-01-01/2026-02-01", "'=Kari", "", "1", "0.400"],
    ]
    sessions = await office.make(
        town, ExportSource(locked_report_id=report), kind=ReportKind.SESSIONS, format=ExportFormat.CSV
    )
    assert sessions.row_count == 3


async def test_one_persons_part_of_a_locked_report_has_the_locked_figures_of_that_person(
    town: Town, office: Office
) -> None:
    """Their rows, their corrections and their sessions; of who has none, or where it does not say whose they are, there is no part."""
    source = ExportSource(locked_report_id=await _locked(town), person_id=town.people["USER of charger"])
    made = await office.make(town, source, format=ExportFormat.PDF)
    text = " ".join(page.extract_text() for page in PdfReader(office.path(made)).pages).replace("\n", " ")
    assert "Person =Kari" in text
    assert "Total of 2 sessions" in text
    assert "Not identified" not in text
    table = await office.make(town, source, format=ExportFormat.CSV)
    lines = [line.split(",")[:5] for line in office.path(table).read_text("utf-8-sig").splitlines()]
    assert lines[1:] == [
        ["2026-02-01/2026-03-01", "'=Kari", "2026-02", "2", "2.005"],
        ["2026-01-01/2026-02-01", "'=Kari", "", "1", "0.400"],
    ]
    owner = await town.access("OWNER of installation")
    with pytest.raises(NotFoundError):
        await create_export(owner, replace(source, person_id=town.people["stranger"]), bus=office.bus)
    wish = LockWish(date(2026, 1, 1), date(2026, 2, 1), as_revision=True)
    by_charger = await lock_report(owner, town.site.id, wish)
    with pytest.raises(ValidationError):
        await create_export(owner, replace(source, locked_report_id=by_charger), bus=office.bus)


async def test_a_norwegian_file_is_norwegian_in_all_that_we_say(town: Town, office: Office) -> None:
    """Headings, totals, and who or what is not known; sheets keep their names, by which programs find them."""
    await some_sessions(town)
    made = await office.make(town, usage(town, group_by=(UsageDimension.USER,)), locale="nb-NO")
    book = CalamineWorkbook.from_path(office.path(made))
    table = book.get_sheet_by_name("Summary").to_python()
    assert "Ikke identifisert" in [row[0] for row in table]
    heading = {str(row[0]): str(row[1]) for row in table[:9]}
    assert list(heading)[:7] == ["Anlegg", "Periode", "Tidssone", "Grunnlag", "Laget", "Revisjon", "Dekning"]
    assert heading["Periode"] == "2026-02-01 til, men ikke med, 2026-03-01"
    assert heading["Laget"] == "2026-03-01 13:00 av OWNER of installation"
    assert table[-1][0] == "Sum"
    assert book.get_sheet_by_name("Sessions").to_python()[-1][0] == "Sum av 3 økter"
    empty = ExportSource(usage=UsageQuestion(
        from_date=date(2024, 1, 1), to_date=date(2024, 2, 1), installation_ids=(town.site.id,)
    ))  # fmt: skip
    made = await office.make(town, empty, locale="nb-NO")
    table = CalamineWorkbook.from_path(office.path(made)).get_sheet_by_name("Summary").to_python()
    assert ["Merknad", "Det er ingen økter i denne perioden; den nærmeste er fra 2026-02-03."] in [
        row[:2] for row in table
    ]


async def test_norwegian_lines_of_costs_are_norwegian(town: Town, office: Office) -> None:
    """What is paid for and when, and why a cost is not known."""
    await some_sessions(town, 2)
    parts = [
        TariffPart(CostUnit.HOUR, MICRO, since=time(since), until=time(until)) for since, until in ((6, 22), (22, 6))
    ]
    tariff = await factories.a_tariff(town.site, *parts, TariffPart(CostUnit.MONTH, MICRO))
    await factories.a_tariff_assignment(town.site, tariff)
    spot = await factories.a_tariff(town.site, TariffPart(CostUnit.KWH, None), name="Spot")
    await factories.a_tariff_assignment(town.site, spot, user_id=town.people["USER of charger"])
    made = await office.make(town, usage(town), kind=ReportKind.COST, locale="nb-NO")
    table = CalamineWorkbook.from_path(office.path(made)).get_sheet_by_name("Cost lines").to_python()
    said = [row[5] for row in table if len(row) > 5]
    assert "Tid tilkoblet 06:00 til 22:00 2026-02-03 (Standard)" in said
    assert "Månedsavgift for 2026-02 (Standard)" in said
    assert "Tariffen Spot har ingen pris for 2026-02-03 11:00: importer den." in said


@pytest.mark.parametrize("part", [*CostUnit, *Weekday])
def test_norwegian_knows_every_unit_and_day(part: CostUnit | Weekday) -> None:
    """What a line may say has its words."""
    one = TariffPart(part, 0) if isinstance(part, CostUnit) else TariffPart(CostUnit.KWH, 0, weekdays=(part,))
    assert part_text(one, words_of("nb")) != part_text(one)


async def test_what_one_person_pays_can_be_printed(town: Town, office: Office) -> None:
    """COST as PDF: their sum, and the lines that it is made of."""
    await some_sessions(town)
    tariff = await factories.a_tariff(
        town.site, TariffPart(CostUnit.KWH, 2 * MICRO), TariffPart(CostUnit.SESSION, MICRO)
    )
    await factories.a_tariff_assignment(town.site, tariff)
    source = replace(usage(town), person_id=town.people["USER of charger"])
    made = await office.make(town, source, kind=ReportKind.COST, format=ExportFormat.PDF, locale="nb-NO")
    assert (made.state, made.row_count) == (ExportState.READY, 4)
    text = " ".join(page.extract_text() for page in PdfReader(office.path(made)).pages)
    assert "Sum\n6,01\n0,00\n6,01\nNOK" in text
    assert "Å betale" in text
    whole = await office.make(town, usage(town), kind=ReportKind.COST, format=ExportFormat.PDF)
    assert (whole.state, whole.row_count) == (ExportState.READY, 2)


@pytest.mark.parametrize("person", ["USER of installation", "SERVICE", "ADMINISTRATOR", "stranger"])
async def test_a_locked_report_is_its_owners_to_export(town: Town, office: Office, person: str) -> None:
    """To others there is no such report."""
    report = await _locked(town)
    with pytest.raises(NotFoundError):
        await create_export(await town.access(person), ExportSource(locked_report_id=report), bus=office.bus)


async def _tariff(town: Town) -> None:
    """1.00 a kWh from 3 February on and 10.00 a month, with 25 % VAT."""
    parts = (factories.ONE_A_KWH, TariffPart(CostUnit.MONTH, 10 * MICRO))
    tariff = await factories.a_tariff(town.site, *parts, vat_percent=25)
    await factories.a_tariff_assignment(town.site, tariff, valid_from=date(2026, 2, 3))
    await factories.a_tariff_assignment(town.site, tariff, user_id=town.people["USER of charger"])


async def test_a_workbook_of_costs_has_what_each_person_pays_and_every_line(town: Town, office: Office) -> None:
    """The totals are those of the API; a charge whose cost is not known says why."""
    await _tariff(town)
    await some_sessions(town)
    await ChargeSession.filter(user_id=None).update(energy_wh=None)
    row = await office.make(town, usage(town), kind=ReportKind.COST)
    assert (row.error, row.file_name, row.row_count) == (None, "fjordveien-garage-2026-02-01-2026-03-01-cost.xlsx", 4)
    book = load_workbook(office.path(row))
    assert book.sheetnames == ["People", "Cost lines"]
    people = list(book["People"].iter_rows(values_only=True))[-3:]
    source = usage(town, group_by=(UsageDimension.USER,)).usage
    assert source is not None
    summary = await usage_summary(await town.access("OWNER of installation"), source, with_costs=True)
    (total,) = summary.total.costs.sums
    assert people == [
        ("=Kari", 2, 2.005, 12, 3, 15, "NOK", None),
        ("Not identified", 1, 0, None, None, None, None, 1),
        ("Total", 3, 2.005, 12, 3, 15, "NOK", 1),
    ]
    assert (total.net_minor, total.vat_minor, summary.total.costs.unknown_count) == (1_200, 300, 1)
    lines = list(book["Cost lines"].iter_rows(values_only=True))[-5:]
    days = [None if cells[4] is None else f"{cells[4]:%Y-%m-%d}" for cells in lines]
    assert [(day, *cells[5:14]) for day, cells in zip(days, lines, strict=True)] == [
        (None, "How much energy was taken is not known.", None, None, None, None, None, None, None, None),
        ("2026-02-03", "Energy on 2026-02-03 (Standard)", 1.002, "KWH", 1, 25, 1, 0.25, 1.25, "NOK"),
        ("2026-02-03", "Energy on 2026-02-03 (Standard)", 1.003, "KWH", 1, 25, 1, 0.25, 1.25, "NOK"),
        ("2026-02-01", "Monthly fee for 2026-02 (Standard)", 1, "MONTH", 10, 25, 10, 2.5, 12.5, "NOK"),
        (None, None, None, None, None, None, 12, 3, 15, "NOK"),
    ]


async def test_costs_as_csv_are_the_lines_alone(town: Town, office: Office) -> None:
    """By the customs of the locale; a driver gets their own."""
    await _tariff(town)
    await some_sessions(town, 2)
    own = ExportSource(usage=UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1)))
    row = await office.make(town, own, "USER of charger", kind=ReportKind.COST, format=ExportFormat.CSV, locale="nb-NO")
    text = office.path(row).read_text(encoding="utf-8-sig").splitlines()
    assert text[0].startswith(
        "Anlegg;Person;Lader;Startet;Dag;Linje;Antall;Enhet;Enhetspris;Mva (%);Netto;Mva;Å betale;"
    )
    assert len(text) == 3
    assert text[1].split(";")[1:14] == [
        "'=Kari", "Space 1", "2026-02-03 11:00:00", "2026-02-03", "Energy on 2026-02-03 (Standard)", "1,002", "KWH", "1,00",
        "25", "1,00", "0,25", "1,25", "NOK",
    ]  # fmt: skip
    assert "Monthly fee for 2026-02 (Standard);1;MONTH;10,00;25;10,00;2,50;12,50;NOK;" in text[2]


async def test_a_summary_has_the_costs_of_its_groups_where_there_is_a_tariff(town: Town, office: Office) -> None:
    """With the VAT in them, and how many are not known."""
    await some_sessions(town)
    plain = load_workbook(office.path(await office.make(town, usage(town))))["Summary"]
    await _tariff(town)
    await ChargeSession.filter(user_id=None).update(energy_wh=None)
    priced = load_workbook(office.path(await office.make(town, usage(town))))["Summary"]
    headings = [
        [cell.value for cell in row]
        for sheet in (plain, priced)
        for row in sheet.iter_rows()
        if row[0].value == "Charger"
    ]
    assert headings[1] == [*headings[0], "Cost (NOK)", "VAT in it (NOK)", "Sessions of unknown cost"]
    assert [cell.value for cell in priced[priced.max_row]][-3:] == [15, 3, 1]
