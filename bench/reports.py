"""Reports and history over ten million sessions in PostgreSQL: `python -m bench.reports`.

One installation's month by its chargers, as owners get it (with rights and rows in order), beside the best SQL that we could write by hand
for the same rows, through bare asyncpg in the same loop; by turns; then with its coverage, which that SQL has not. Then pages of history at
every depth. The database is kept between full runs, and what was made of it when a run was broken off.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import uvloop

from app.logs import configure_logs
from app.serve import keep_program
from app.settings import LogFormat
from bench.history import BEGAN_AT, Opened, Past, house_with
from bench.report import Options, Report, median, options, percentile
from domain import sql
from domain.access import Access, access_of
from domain.filters import Comparison, Term
from domain.pages import PageRequest
from domain.roles import ReportBasis, Role, UsageDimension
from domain.sessions import EVERYWHERE, SessionOrder, SessionOrderField, SessionPlace, sessions_page
from domain.summaries import usage_summary
from domain.usage.question import UsageQuestion, UsageSummary

_APART: Final = timedelta(days=1_096) / 100_000
"""A hundred thousand in three years: a garage of a hundred cars."""
QUICK: Final = Past(sites=50, sessions=10_000, apart=_APART, has_intervals=True)
FULL: Final = Past(sites=100, sessions=100_000, apart=_APART, has_intervals=True)
PAGE: Final = 100
MONTH: Final = (date(2023, 9, 1), date(2023, 10, 1))
_MONTH_AT: Final = (datetime(2023, 8, 31, 22, tzinfo=UTC), datetime(2023, 9, 30, 22, tzinfo=UTC))
"""The same in Oslo."""

_BY_CHARGER: Final = """
SELECT charger_id, max(charger_name) AS name, count(*) AS sessions, sum(energy_wh)::bigint AS energy_wh,
    sum(connected_s)::bigint AS connected_s, sum(charging_s)::bigint AS charging_s,
    count(*) FILTER (WHERE flags & 1 <> 0) AS offline, count(*) FILTER (WHERE flags & 2 <> 0) AS unreliable,
    min(started_at) AS first_at, max(started_at) AS last_at
FROM charge_sessions
WHERE installation_id = $1 AND registered_at >= $2 AND registered_at < $3 AND state = 'ENDED'
GROUP BY charger_id
"""
_BY_USER_AND_DAY: Final = (
    _BY_CHARGER.replace("charger_id,", "user_id, (registered_at AT TIME ZONE 'Europe/Oslo')::date AS day,")
    .replace("max(charger_name)", "max(user_name)")
    .replace("GROUP BY charger_id", "GROUP BY user_id, day")
)


@dataclass(slots=True)
class Timed:
    """Two ways to the same, by turns; seconds."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return median(self.ours) / median(self.theirs)


class Archive:
    """An owner who asks, and somebody with a bare connection."""

    def __init__(self, opened: Opened, access: Access, bare: "asyncpg.Connection[Any]") -> None:
        self.installation_id: UUID = opened.site.installation_id
        self.access = access
        self._bare = bare

    def question(self, *group_by: UsageDimension, basis: ReportBasis = ReportBasis.REGISTERED) -> UsageQuestion:
        """The month."""
        return UsageQuestion(
            from_date=MONTH[0], to_date=MONTH[1], installation_ids=(self.installation_id,), group_by=group_by, basis=basis
        )  # fmt: skip

    async def month(
        self, *group_by: UsageDimension, basis: ReportBasis = ReportBasis.REGISTERED, with_coverage: bool = False
    ) -> UsageSummary:
        """As an owner gets it who asks for the rows, or for the coverage too."""
        return await usage_summary(self.access, self.question(*group_by, basis=basis), with_coverage=with_coverage)

    async def by_hand(self, statement: str) -> Sequence[Mapping[str, Any]]:
        """The rows of the statement."""
        found: Sequence[Mapping[str, Any]] = await self._bare.fetch(statement, self.installation_id, *_MONTH_AT)
        return found

    async def page(self, depth_at: datetime | None, order: SessionOrderField, at: SessionPlace) -> float:
        """Seconds for a page that begins there, found by its cursor as a client finds it; None is the first."""
        where = Term("installationId", Comparison.EQUALS, self.installation_id)
        after: str | None = None
        if depth_at is not None:
            before = Term("startedAt", Comparison.BELOW, depth_at)
            found = await sessions_page(self.access, PageRequest(first=1), where=before, order=_ordered(order), at=at)
            after = found.cursors[0]
        begin = time.perf_counter()
        page = await sessions_page(
            self.access, PageRequest(first=PAGE, after=after), where=where, order=_ordered(order), at=at
        )
        seconds = time.perf_counter() - begin
        assert len(page.rows) == PAGE
        return seconds


def _ordered(order: SessionOrderField) -> tuple[SessionOrder, ...]:
    return (SessionOrder(order),)


async def by_turns(
    rounds: int, ours: Callable[[], Awaitable[object]], theirs: Callable[[], Awaitable[object]]
) -> Timed:
    """Both, again and again."""
    timed = Timed()
    for number in range(rounds + 3):
        for found, ask in ((timed.ours, ours), (timed.theirs, theirs)):
            begin = time.perf_counter()
            await ask()
            if number >= 3:
                found.append(time.perf_counter() - begin)
    return timed


def same(summary: UsageSummary, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether both say the same."""
    ours = sorted(
        (str(row.id_of(UsageDimension.CHARGER)), row.usage.session_count, row.usage.energy_wh, row.usage.connected_s,
         row.usage.offline_count, row.usage.first_at)
        for row in summary.rows
    )  # fmt: skip
    theirs = sorted(
        (str(row["charger_id"]), row["sessions"], row["energy_wh"], row["connected_s"], row["offline"], row["first_at"])
        for row in rows
    )
    return ours == theirs


async def measured(given: Options, past: Past) -> Report:
    """Everything, and its table."""
    rounds = 100 if given.quick else 1_000
    async with house_with(past, name="reports", is_kept=not given.quick, seed=given.seed) as opened:
        owner = await sql.row(
            "SELECT user_id FROM permissions WHERE installation_id = $1 AND role = $2 ORDER BY id LIMIT 1",
            opened.site.installation_id, Role.OWNER,
        )  # fmt: skip
        assert owner is not None
        access = await access_of(sql.uuid_of(owner["user_id"]), now=opened.house.clock.now())
        bare = await asyncpg.connect(opened.url)
        try:
            archive = Archive(opened, access, bare)
            keep_program()
            return await _told(given, past, archive, rounds)
        finally:
            await bare.close()


async def _told(given: Options, past: Past, archive: Archive, rounds: int) -> Report:
    month = await archive.month(UsageDimension.CHARGER)
    assert same(month, await archive.by_hand(_BY_CHARGER))
    sizes = {
        "sessions": past.total, "installations": past.sites, "sessions of the month": month.total.session_count,
        "rounds": rounds, "page": PAGE,
    }  # fmt: skip
    report = Report("reports", given, sizes, ("", "ms", "p90 ms", "by hand ms", "times"))
    questions = {
        "month by charger": ((UsageDimension.CHARGER,), _BY_CHARGER),
        "month by person and day": ((UsageDimension.USER, UsageDimension.DAY), _BY_USER_AND_DAY),
    }
    ratios = []
    for name, (group_by, statement) in questions.items():
        timed = await by_turns(rounds, lambda g=group_by: archive.month(*g), lambda s=statement: archive.by_hand(s))  # type: ignore[misc]
        report.row(
            name, median(timed.ours) * 1e3, percentile(timed.ours, 0.9) * 1e3, median(timed.theirs) * 1e3, timed.ratio
        )
        ratios.append(timed.ratio)
    covered = await by_turns(
        rounds, lambda: archive.month(UsageDimension.CHARGER, with_coverage=True), lambda: archive.by_hand(_BY_CHARGER)
    )
    report.row(
        "month by charger, with coverage", median(covered.ours) * 1e3, percentile(covered.ours, 0.9) * 1e3,
        median(covered.theirs) * 1e3, covered.ratio,
    )  # fmt: skip
    intervals = await by_turns(
        max(10, rounds // 10),
        lambda: archive.month(UsageDimension.CHARGER, basis=ReportBasis.INTERVAL),
        lambda: archive.by_hand(_BY_CHARGER),
    )
    report.row(
        "month by charger, INTERVAL", median(intervals.ours) * 1e3, percentile(intervals.ours, 0.9) * 1e3, "", ""
    )
    pages: list[float] = []
    place = SessionPlace(installation_id=archive.installation_id)
    for name, at in (("the installation's", place), ("everything visible", EVERYWHERE)):
        for share in (0.0, 0.25, 0.5, 0.75, 0.98):
            depth = None if share == 0 else BEGAN_AT + (past.ends_at - BEGAN_AT) * (1 - share)
            took = [await archive.page(depth, SessionOrderField.STARTED_AT, at) for _ in range(max(20, rounds // 10))]
            report.row(
                f"page of {name} history, {share:.0%} deep", median(took) * 1e3, percentile(took, 0.9) * 1e3, "", ""
            )
            pages.append(median(took) * 1e3)
    report.figures.update(
        month_vs_sql=ratios[0],
        month_with_coverage_vs_sql=covered.ratio,
        month_by_person_and_day_vs_sql=ratios[1],
        history_page_ms=max(pages),
        interval_month_ms=median(intervals.ours) * 1e3,
    )
    return report


def main() -> None:
    """Measured and shown."""
    given = options("reports", __doc__.splitlines()[0])
    configure_logs(LogFormat.AUTO, "warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measured(given, QUICK if given.quick else FULL))
    report.show()


if __name__ == "__main__":
    main()
