"""Whether any allocation, or any way to it, ever passes a fuse: `python -m bench.feasible`.

Random sites of 1 to 40 chargers are allocated, each answer judged by a checker that shares no code with the solver. Between them come
walks: a site goes from one allocation to the next while its messages are lost, late, doubled and out of order and its links break; after
every step what may really flow must be reserved, and below every capacity. Two processes; a run ends after 25 minutes at the latest and
the next one goes on where it stopped.
"""

import json
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from rich.progress import track

from balancing.allocate import DEFAULT, allocate, make_ready
from balancing.document import dump_allocation, parse_instance
from bench.balancing_sites import Document
from bench.balancing_sites import site as grown_site
from bench.report import Options, Report, options
from tests.balancing import checker
from tests.balancing.sites import ALL_NETWORKS, ALL_SWITCHINGS
from tests.balancing.sites import site as odd_site
from tests.balancing.walk import Walk

MOST_CHARGERS: Final = 40
CHUNK: Final = 500
"""Sites in one piece of work; with each goes one walk."""

WALK_STEPS: Final = 120
LONGEST_S: Final = 25 * 60.0
WORKERS: Final = 2
THOROUGH_EVERY: Final = 10
"""One site in so many gets the effort that the balancer has; the others a hundredth, which leaves more to chance."""


@dataclass
class Found:
    """What came of the sites up to now."""

    chunks: int = 0
    sites: int = 0
    chargers: int = 0
    violations: int = 0
    walks: int = 0
    steps: int = 0
    walk_chargers: int = 0
    overloads: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        """What another one found too."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


def document_of(seed: int) -> Document:
    """The site of a seed: every other one grown like real ones, the others with everything that a file may say."""
    rng = random.Random(seed)
    if seed % 2:
        return grown_site(seed, rng.randint(1, MOST_CHARGERS))
    return odd_site(rng, most=MOST_CHARGERS, switchings=ALL_SWITCHINGS, networks=ALL_NETWORKS)


def chunk(seed: int, number: int) -> Found:
    """One piece of the work."""
    found = Found(chunks=1)
    first = seed * 100_000_000 + number * CHUNK
    for one in range(first, first + CHUNK):
        document = document_of(one)
        answer = allocate(parse_instance(document), DEFAULT if one % THOROUGH_EVERY == 0 else DEFAULT // 100)
        wrong = checker.violations(document, dump_allocation(answer))
        found.sites += 1
        found.chargers += len(document["chargers"])
        found.violations += len(wrong)
        found.notes += [f"site {one}: {what}" for what in wrong[:1]]
    _walk(found, first)
    return found


def _walk(found: Found, seed: int) -> None:
    """One walk; the first step that breaks a promise ends it."""
    chargers = random.Random(seed).randint(2, MOST_CHARGERS)
    walk = Walk(seed, chargers)
    found.walks += 1
    found.walk_chargers += chargers
    try:
        for _ in range(WALK_STEPS):
            walk.step()
            found.steps += 1
    except AssertionError as error:
        found.overloads += 1
        found.notes.append(f"walk {seed}: {error}")


def kept_at(given: Options, sites: int) -> Path:
    """Where what was found is kept between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lade" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"feasible-{given.seed}-{sites}.json"


def measured(given: Options) -> Report:
    """As many sites as there is time for."""
    sites = 12_000 if given.quick else 1_000_000
    chunks, kept = sites // CHUNK, kept_at(given, sites)
    found = Found(**json.loads(kept.read_text())) if kept.exists() and not given.quick else Found()
    if found.chunks >= chunks:
        found = Found()
    before = found.sites
    make_ready()
    began = time.monotonic()
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        # By rounds, so that what is kept is always a beginning without gaps.
        for numbers in track(
            _rounds(found.chunks, chunks), description="sites", total=(chunks - found.chunks) // WORKERS
        ):
            for future in as_completed([pool.submit(chunk, given.seed, number) for number in numbers]):
                found.add(future.result())
            if not given.quick:
                kept.write_text(json.dumps(asdict(found)))
            if time.monotonic() - began > (40 if given.quick else LONGEST_S):
                break
    took_s = time.monotonic() - began
    report = Report("feasible", given, {"sites": sites, "chargers": f"1 to {MOST_CHARGERS}"}, ("", "done", "wrong", ""))
    report.row("allocations", f"{found.sites:,} of {sites:,}", found.violations, f"{found.chargers:,} chargers")
    report.row("walks", f"{found.walks:,}", found.overloads, f"{found.steps:,} steps, {found.walk_chargers:,} chargers")
    for note in found.notes[:20]:
        report.row("", "", "", note)
    report.figures |= {
        "sites": found.sites, "violations": found.violations, "walks": found.walks, "walk_steps": found.steps,
        "overloads": found.overloads, "sites_per_s": (found.sites - before) / took_s,
    }  # fmt: skip
    return report


def _rounds(start: int, end: int) -> Iterator[range]:
    """Numbers of chunks, as many at once as there are workers."""
    return (range(first, min(first + WORKERS, end)) for first in range(start, end, WORKERS))


def main() -> None:
    measured(options("feasible", "Whether any allocation, or any way to it, ever passes a fuse.")).show()


if __name__ == "__main__":
    main()
