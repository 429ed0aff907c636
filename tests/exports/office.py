"""Where files are made: a worker with its folder, and what there is to export."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
from starlette.applications import Starlette

from domain.reporting.exports import (
    ExportRow,
    ExportSource,
    create_export,
    exports_by_ids,
)
from domain.usage.question import UsageQuestion
from exports.endpoints import export_routes, file_of
from exports.links import ExportLinks
from exports.worker import ExportWorker
from exports.writing import WritingProcess
from tests import factories
from tests.factories import NOW, Town
from tests.fakes import HandClock, RecordingBus

LINKS = ExportLinks("s" * 32, "http://lade.example")


class Office:
    """A worker with its folder, clock and bus."""

    def __init__(self, folder: Path, writing: WritingProcess) -> None:
        folder.mkdir()
        self.folder = folder
        self.bus = RecordingBus()
        self.clock = HandClock(NOW)
        self.writing = writing
        self.worker = ExportWorker(folder=folder, writing=writing, bus=self.bus, clock=self.clock)

    async def make(
        self, town: Town, source: ExportSource, person: str = "OWNER of installation", **further: object
    ) -> ExportRow:
        access = await town.access(person)
        export_id = await create_export(access, source, bus=self.bus, **further)  # type: ignore[arg-type]  # by name
        assert await self.worker.make_next()
        return (await exports_by_ids(access, [export_id]))[export_id]

    def path(self, export: ExportRow) -> Path:
        return file_of(self.folder, export.id, export.format)

    async def fetch(self, url: str) -> httpx.Response:
        application = Starlette(routes=[*export_routes(LINKS, folder=self.folder, clock=self.clock)])
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(url)


def usage(town: Town, **further: object) -> ExportSource:
    question = UsageQuestion(
        from_date=date(2026, 2, 1),
        to_date=date(2026, 3, 1),
        installation_ids=(town.site.id,),
        **further,  # type: ignore[arg-type]  # by name
    )
    return ExportSource(usage=question)


async def some_sessions(town: Town, count: int = 3) -> None:
    for number in range(count):
        start = datetime(2026, 2, 3, 9, tzinfo=UTC) + timedelta(hours=number)
        await factories.a_session(
            town.site,
            town.charger_id if number % 2 else town.neighbour_id,
            user_id=town.people["USER of charger"] if number else None,
            user_name="=Kari" if number else None,
            started_at=start,
            ended_at=start + timedelta(minutes=30),
            energy_wh=1_001 + number,
        )
