"""`lade import-prices` at the terminal."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.database import database_of, migrate, opened
from app.settings import load_settings
from domain.global_ids import global_id
from domain.ids import new_id
from domain.models import AuditEntry, TariffPrice
from tests import factories

HEADER = "start;end;price\n"
FIRST = "2026-03-29T01:00:00+01:00;2026-03-29T03:00:00+02:00;0,8312\n"
SECOND = "2026-03-29T03:00:00+02:00;2026-03-29T04:00:00+02:00;-0,05\n"


@pytest.fixture
def lade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name in ("LADE_DATABASE_URL", "LADE_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LADE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return CliRunner()


async def _made_tariff() -> str:
    database = database_of(load_settings())
    await migrate(database)
    async with opened(database):
        return global_id("Tariff", await factories.a_tariff(await factories.a_site()))


async def _stored() -> tuple[list[tuple[str, int]], int]:
    async with opened(database_of(load_settings())):
        prices = [(row.start_at.isoformat(), row.price_micro) for row in await TariffPrice.all().order_by("start_at")]
        return prices, await AuditEntry.filter(action="tariff.importPrices").count()


def _run(lade: CliRunner, tmp_path: Path, tariff: str, *lines: str) -> Result:
    (tmp_path / "prices.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    return lade.invoke(main, ["import-prices", "prices.csv", "--tariff", tariff])


def test_prices_of_a_file_are_stored_all_of_them_or_none(lade: CliRunner, tmp_path: Path) -> None:
    """The same start again replaces; what is wrong is told with its line, and nothing is stored."""
    tariff = asyncio.run(_made_tariff())
    done = _run(lade, tmp_path, tariff, FIRST, SECOND)
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "2 prices stored, from 2026-03-29T01:00:00+01:00 on")
    expected = [("2026-03-29T00:00:00+00:00", 831_200), ("2026-03-29T01:00:00+00:00", -50_000)]
    assert asyncio.run(_stored()) == (expected, 1)
    overlapping = _run(lade, tmp_path, tariff, SECOND, FIRST.replace("T01:00:00+01", "T00:30:00+01"))
    assert overlapping.exit_code == 2
    assert "prices.csv, line 3: This overlaps a price that is there already" in overlapping.stderr
    for wrong in ("2026-03-29T01:00:00;2026-03-29T03:00:00+02:00;1\n", "x;y;z\n", "2026-03-29T01:00:00+01:00;;\n"):
        refused = _run(lade, tmp_path, tariff, SECOND, wrong)
        assert (refused.exit_code, "prices.csv, line 3: write start, end and price" in refused.stderr) == (2, True)
    assert asyncio.run(_stored()) == (expected, 1)


def test_what_is_no_tariff_is_told(lade: CliRunner, tmp_path: Path) -> None:
    """One that is not there, and what is no id of one."""
    asyncio.run(_made_tariff())
    absent = global_id("Tariff", new_id())
    assert "There is no tariff by that id." in _run(lade, tmp_path, absent, FIRST).stderr
    assert "--tariff is the id of a tariff" in _run(lade, tmp_path, "Standard", FIRST).stderr
