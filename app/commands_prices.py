"""`lade import-prices`: the prices of a kWh over time from a CSV file, for one tariff (docs/imports.md)."""

import asyncio
import csv
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from uuid import UUID

import click

from app.database import database_of, migrate, opened
from app.settings import OperatorError, load_settings
from domain.clock import SystemClock
from domain.errors import NotFoundError, ValidationError
from domain.global_ids import parsed
from domain.tariffs import PriceWish, store_prices

_COLUMNS = ("start", "end", "price")


@click.command("import-prices")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tariff", required=True, help="The id of the tariff, as the API gives it.")
def import_prices_command(file: Path, tariff: str) -> None:
    """Import prices for a tariff: columns start, end (instants with their offset) and price (of a kWh, without VAT).

    A price that begins when another did replaces it. All of them are stored, or none.
    """
    asyncio.run(import_prices(file, tariff))


async def import_prices(file: Path, tariff: str) -> None:
    """The prices of the file are in the tariff, and how many is printed. OperatorError for what cannot be used, with its line."""
    found = parsed(tariff)
    if found is None or found[0] != "Tariff":
        raise OperatorError("--tariff is the id of a tariff, as `installation { tariffs { id } }` gives it.")
    lines = list(_read(file))
    if not lines:
        raise OperatorError(f"{file} has no prices.")
    await _store(file, found[1], lines)
    click.echo(f"{len(lines)} prices stored, from {lines[0][1].start_at.isoformat()} on", err=True)


async def _store(file: Path, tariff_id: UUID, lines: list[tuple[int, PriceWish]]) -> None:
    database = database_of(load_settings())
    await migrate(database)
    async with opened(database):
        try:
            await store_prices(tariff_id, [price for _, price in lines], now=SystemClock().now())
        except NotFoundError as error:
            raise OperatorError("There is no tariff by that id.") from error
        except ValidationError as error:
            place = error.path[1] if len(error.path) > 1 else "0"
            raise OperatorError(f"{file}, line {lines[int(place)][0]}: {error.message} Nothing was stored.") from error


def _read(path: Path) -> Iterator[tuple[int, PriceWish]]:
    """(line in the file, price) in its order."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"The file {path} cannot be read: {error}.") from error
    first = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if ";" in first else ",", strict=True)
    if reader.fieldnames is None or not set(_COLUMNS) <= set(reader.fieldnames):
        raise OperatorError(f"{path}: the first line names the columns start, end and price.")
    try:
        for row in reader:
            yield reader.line_num, _price(path, reader.line_num, row)
    except csv.Error as error:
        raise OperatorError(f"{path}, line {reader.line_num}: this is no CSV ({error}).") from error


def _price(path: Path, line: int, row: dict[str, str]) -> PriceWish:
    try:
        start, end = (datetime.fromisoformat(row[name].strip()) for name in _COLUMNS[:2])
        price = Decimal(row["price"].strip().replace(",", "."))
        if start.tzinfo is None or end.tzinfo is None or not price.is_finite() or abs(price.adjusted()) > 12:
            raise ValueError(row)
    except (ValueError, InvalidOperation, AttributeError) as error:
        example = "2026-03-01T00:00:00+01:00, 2026-03-01T01:00:00+01:00 and 0.8312"
        raise OperatorError(f"{path}, line {line}: write start, end and price such as {example}.") from error
    return PriceWish(start, end, price)
