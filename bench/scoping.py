"""Whether anybody is told what is not theirs: `python -m bench.scoping`.

Random worlds of grants, random questions, and an oracle that knows the rules by itself (`tests.scoping`). Every id, name, card number and
energy in every answer is looked up in what the oracle lets the asker know. Then each of the planted leaks is put into the product,
and must be found by the same cases. What is done is kept in `bench/.results`: a run that was broken off goes on where it was.
"""

import json
import tempfile
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Final

import uvloop

from app.database import Database, migrate
from app.logs import configure_logs
from app.settings import LogFormat
from bench.report import Options, Report, options
from tests.scoping.cases import CASES_A_WORLD, Tally, cases_until_found, empty_database, run_world
from tests.scoping.planted import PLANTED

_CASES: Final = 20_000
_CASES_QUICK: Final = 500
_PLANTED_QUICK: Final = 12
_PLANTED_WORLDS: Final = 20
"""Most worlds in which a planted leak is looked for."""
_RESULTS: Final = Path(__file__).parent / ".results"
_SHOWN: Final = 5
"""Leaks that are printed whole."""
_SEEDS_APART: Final = 1_000_000


async def _cases(template: Path, given: Options, kept: Path | None) -> Tally:
    wanted = _CASES_QUICK if given.quick else _CASES
    tally = _read(kept)
    while tally.cases < wanted:
        seed = given.seed * _SEEDS_APART + tally.cases // CASES_A_WORLD
        async with empty_database(template):
            await run_world(seed, tally)
        _keep(tally, kept)
        if tally.cases % 1_000 == 0:
            print(f"{tally.cases:,} of {wanted:,} cases, {tally.values:,} values, {len(tally.leaks)} leaks", flush=True)
    return tally


def _read(kept: Path | None) -> Tally:
    if kept is None or not kept.exists():
        return Tally()
    tally = Tally(**json.loads(kept.read_text()))
    print(f"goes on after {tally.cases:,} cases that are kept in {kept}")
    return tally


def _keep(tally: Tally, kept: Path | None) -> None:
    if kept is not None:
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(asdict(tally)))


async def measure(given: Options) -> Report:
    """All cases, then the planted leaks."""
    kept = None if given.quick else _RESULTS / f"scoping-{given.seed}.json"
    names = list(PLANTED)[:_PLANTED_QUICK] if given.quick else list(PLANTED)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lade-bench-") as folder:
        template = Path(folder) / "template.sqlite3"
        await migrate(Database(sqlite_file=template))
        tally = await _cases(template, given, kept)
        first = given.seed * _SEEDS_APART + _SEEDS_APART // 2
        seeds = range(first, first + _PLANTED_WORLDS)
        found = {name: await cases_until_found(name, template, seeds) for name in names}
    if kept is not None:
        kept.unlink(missing_ok=True)
    sizes = {"cases": tally.cases, "cases a world": CASES_A_WORLD, "planted leaks": len(names)}
    report = Report("scoping", given, sizes, ("planted leak", "found after cases"))
    for name, after in found.items():
        report.row(name, "not found" if after is None else after)
    for leak in (*tally.leaks, *tally.hidings)[:_SHOWN]:
        print(leak)
    report.figures = {
        "cases": tally.cases,
        "queries": tally.queries,
        "values_checked": tally.values,
        "leaks": len(tally.leaks),
        "hidden_from_their_owners": len(tally.hidings),
        "planted": len(names),
        "planted_found": sum(after is not None for after in found.values()),
        "seconds": time.monotonic() - began,
    }
    return report


def main() -> None:
    """The bench, from the command line."""
    given = options("scoping", __doc__.splitlines()[0])
    configure_logs(LogFormat.CONSOLE, "error")
    # graphql-core cancels fields beside one that failed, some before they began.
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
    report = uvloop.run(measure(given))
    report.show()
    figures = report.figures
    if figures["leaks"] or figures["hidden_from_their_owners"] or figures["planted_found"] != figures["planted"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
