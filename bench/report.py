"""How a bench is called and what it prints: a table with machine, date and sizes, and with `--json` one last line of figures."""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from domain.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Options:
    """What every bench understands: `quick` is done in 50 s, `seed` makes its inputs."""

    quick: bool
    as_json: bool
    seed: int


def options(name: str, what: str) -> Options:
    """The command line of `python -m bench.NAME`."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=what)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, at most 50 s; the sizes are printed")
    parser.add_argument("--json", action="store_true", help="end with one line: the figures as one JSON object")
    parser.add_argument("--seed", type=int, default=1, help="what the inputs are made from (default 1)")
    given = parser.parse_args()
    return Options(quick=given.quick, as_json=given.json, seed=given.seed)


@dataclass(slots=True)
class Report:
    """A bench's table and figures."""

    name: str
    options: Options
    sizes: Mapping[str, object]
    columns: Sequence[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    figures: dict[str, float | int | str | bool] = field(default_factory=dict)

    def row(self, *cells: object) -> None:
        """One more line of the table; floats with four digits."""
        self.rows.append(tuple(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells))

    def show(self) -> None:
        """The table on standard output, and with `--json` the figures as its last line."""
        table = Table(*self.columns, title=f"{self.name} {'(quick)' if self.options.quick else ''}".strip())
        for cells in self.rows:
            table.add_row(*cells)
        console = Console(file=sys.stdout, width=120 if not sys.stdout.isatty() else None)
        console.print(machine())
        console.print(
            "sizes: " + ", ".join(f"{key} {value}" for key, value in self.sizes.items()), f"seed {self.options.seed}"
        )
        console.print(table)
        for key, value in self.figures.items():
            console.print(f"{key}: {value:.4g}" if isinstance(value, float) else f"{key}: {value}")
        if self.options.as_json:
            print(
                json.dumps(
                    {**self.figures, "sizes": dict(self.sizes), "quick": self.options.quick, "seed": self.options.seed}
                )
            )


def machine() -> str:
    """What this ran on, and when."""
    return (
        f"{SystemClock().now():%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies; the largest for share 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)
