"""How fast and how good the balancer's answers are: `python -m bench.balancer`.

One generated set of sites (`bench/balancing_sites.py`) serves both. Every allocation is judged by a checker that shares no code with the
solver. Beside it, in the same run: HiGHS for filling with fixed lines (linear programs), for who is served and for the choice of lines
(integer programs, proven), and for 54 one-phase chargers acnportal's FCFS and RR and an MPC restated with cvxpy, in an environment that a
full run makes once in the user's cache.

What HiGHS has proven of a site is kept there, too, for it is the same whoever else solves it. A full run begins no proof after 25 minutes,
says whether it was `complete`, and the next one goes on where it stopped.
"""

import functools
import gc
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from balancing.allocate import DEFAULT, allocate, make_ready
from balancing.document import dump_allocation, parse_instance
from balancing.filling import Filling, fill, filling_for
from balancing.problem import Problem, compile_problem
from balancing.search import solve
from bench.balancing_exact import Choice, best_shares, leximin
from bench.balancing_sites import Document, site
from bench.report import Options, Report, median, options, percentile
from tests.balancing import checker

PLAIN: Final = (("TN_3", "arithmetic"), ("IT_3", "arithmetic"))
JUDGED_A: Final = 0.02
"""Shares within this compare equal, by the format."""
PEER_CHARGERS: Final = 54
LONGEST_S: Final = 25 * 60.0


@dataclass(frozen=True, slots=True)
class Size:
    """How many sites of each kind, and how long a proof may take."""

    speed: dict[int, int]
    filled: int
    served: dict[int, int]
    chosen: dict[int, int]
    proof_s: float


QUICK: Final = Size({10: 200, 100: 60, 1000: 12, 10_000: 2}, 1, {28: 20, 100: 8}, {12: 12}, 5.0)
FULL: Final = Size(
    {10: 3000, 100: 1000, 1000: 200, 10_000: 20}, 8, {12: 200, 28: 200, 100: 120, 300: 30}, {12: 200, 28: 60}, 30.0
)


class Proofs:
    """What is proven of sites, by what was asked; kept in a file, a line each, and begun until the time of a run is over.

    A proof that was not found in time is not looked for again, unless it may take longer.
    """

    def __init__(self, file: Path | None, *, limit_s: float, longest_s: float) -> None:
        self.limit_s = limit_s
        self._until_s = time.monotonic() + longest_s
        self._file = file
        self._known: dict[str, list[float] | None] = {}
        if file is not None and file.exists():
            self._known.update(json.loads(line) for line in file.read_text().splitlines())

    @property
    def is_over(self) -> bool:
        """Whether no more time is left."""
        return time.monotonic() > self._until_s

    def of(self, what: str, document: Document, prove: Callable[[], list[float] | None]) -> list[float] | None:
        """What is best there, proven now or before; None where that took too long."""
        asked = json.dumps([what, self.limit_s, document], sort_keys=True).encode()
        key = hashlib.blake2b(asked, digest_size=16).hexdigest()
        if key not in self._known:
            self._known[key] = prove()
            if self._file is not None:
                with self._file.open("a") as file:
                    file.write(json.dumps([key, self._known[key]]) + "\n")
        return self._known[key]


def proofs_for(given: Options, size: Size) -> Proofs:
    """Those of a full run outlive it."""
    if given.quick:
        return Proofs(None, limit_s=size.proof_s, longest_s=LONGEST_S)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lade" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return Proofs(folder / "balancer-proofs.jsonl", limit_s=size.proof_s, longest_s=LONGEST_S)


def seeds(first: int) -> Iterator[int]:
    """Numbers of sites, from the run's own seed on."""
    number = first * 1_000_000
    while True:
        yield number
        number += 1


def speed(report: Report, size: Size) -> None:
    """Whole solves, from instance to set-points, at the default effort; each answer is judged."""
    violated = judged = 0
    for chargers, many in size.speed.items():
        took: list[float] = []
        for _, seed in zip(range(many), seeds(report.options.seed), strict=False):
            document = site(seed, chargers)
            instance = parse_instance(document)
            gc.collect()
            begin = time.perf_counter()
            answer = allocate(instance)
            took.append((time.perf_counter() - begin) * 1000)
            judged += 1
            violated += bool(checker.violations(document, dump_allocation(answer)))
        report.row(f"{chargers:,} chargers", many, median(took), percentile(took, 0.95), max(took), "")
        report.figures[f"p50_ms_{chargers}"] = median(took)
        report.figures[f"p95_ms_{chargers}"] = percentile(took, 0.95)
    report.figures["judged"], report.figures["violations"] = judged, violated
    if violated:
        raise RuntimeError(f"{violated} of {judged} allocations are not allowed: their speed says nothing")


def fixed(seed: int, chargers: int) -> Problem | None:
    """A site without a choice of lines where everybody is served and some row is full; None where the seed has another."""
    p = compile_problem(parse_instance(site(seed, chargers, switchings=("none",), networks=PLAIN[:1]))).problem
    if not len(p.capacity) or min(solve(p, DEFAULT).choice) < 0:
        return None
    return p


def filling(report: Report, size: Size) -> None:
    """Filling alone against linear programs."""
    ratios, worst = [], 0.0
    for seed in seeds(report.options.seed):
        p = fixed(seed, 1000)
        if p is None:
            continue
        f = filling_for(p)
        mine = min(_filled(p, f) for _ in range(20))
        begin = time.perf_counter()
        exact = leximin(p)
        theirs = time.perf_counter() - begin
        difference = float(np.max(np.abs(f.shares[: f.served[0]] - np.array(exact.shares))))
        worst = max(worst, difference)
        ratios.append(theirs / mine)
        report.row(
            f"filling, seed {seed}",
            1,
            mine * 1000,
            "",
            "",
            f"HiGHS {theirs:.2f} s, {exact.programs} programs, off {difference:.0e} A",
        )
        if len(ratios) == size.filled:
            break
    report.figures["highs_vs_fill_1000"] = median(ratios)
    report.figures["filling_off_a"] = worst


def _filled(p: Problem, f: Filling) -> float:
    """Seconds to fill it with the only option that each car has."""
    choice, nothing = p.first_option[:-1].copy(), np.zeros(0)
    begin = time.perf_counter()
    fill(p, f, choice, nothing)
    return time.perf_counter() - begin


def timed(function: Callable[[], object]) -> float:
    """Seconds."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def served(report: Report, size: Size, proofs: Proofs) -> None:
    """Who is served, against integer programs, class by class; only sites where somebody has to wait."""
    every = equal = 0
    short_cars, short_credit, seen = 0.0, 0.0, []
    for chargers, many in size.served.items():
        here = 0
        for seed in seeds(report.options.seed):
            document = site(seed, chargers, networks=PLAIN)
            p = compile_problem(parse_instance(document)).problem
            if here == many or proofs.is_over:
                break
            mine = solve(p, DEFAULT)
            if not len(p.rank) or min(mine.choice) >= 0:
                continue
            here += 1
            exact = proofs.of("served", document, Choice(p, size.proof_s).served)
            if exact is None:
                continue
            every += 1
            gap = next(
                (
                    (at, b - a, b)
                    for at, (a, b) in enumerate(zip(mine.served.tolist(), exact, strict=True))
                    if b - a > 1e-6 * max(1.0, b)
                ),
                None,
            )
            equal += gap is None
            if gap is not None:
                at, missing, best = gap
                seen.append(f"{chargers}/{seed}")
                if at % 2:
                    short_credit = max(short_credit, missing / best)
                else:
                    short_cars = max(short_cars, missing)
    what = f"{equal} equal; most missing {short_cars:.0f} cars, {short_credit:.2%} of credit; {' '.join(seen)}"
    report.row("who is served", every, "", "", "", what)
    report.figures |= {
        "served_proven": every,
        "served_equal": equal / every if every else 0.0,
        "served_short_cars": short_cars,
        "served_short_credit": short_credit,
    }


def chosen(report: Report, size: Size, proofs: Proofs) -> None:
    """The choice of lines, against integer programs: every share, smallest first."""
    for chargers, many in size.chosen.items():
        every = equal = unproven = 0
        gap, seen = 0.0, []
        for _, seed in zip(range(many), seeds(report.options.seed), strict=False):
            document = site(seed, chargers, networks=PLAIN)
            p = compile_problem(parse_instance(document)).problem
            if proofs.is_over:
                break
            if not p.has_choice or not len(p.capacity):
                continue
            exact = proofs.of("shares", document, functools.partial(best_shares, p, size.proof_s))
            if exact is None:
                unproven += 1
                continue
            shares = solve(p, DEFAULT).shares.tolist()
            every += 1
            # Where fewer are served the first share that is missing counts as nothing.
            padded = [*shares, *[0.0] * (len(exact) - len(shares))]
            # Only the first difference counts. Where HiGHS stopped within its tolerance it may be to our favour.
            mine, best = next(
                ((a, b) for a, b in zip(padded, exact, strict=False) if abs(b - a) > JUDGED_A), (0.0, 0.0)
            )
            equal += mine >= best
            if mine < best:
                gap = max(gap, 1 - mine / best)
                seen.append(str(seed))
        what = f"{equal} equal, {unproven} not proven; largest gap {gap:.2%}; {' '.join(seen)}"
        report.row(f"lines of {chargers}", every, "", "", "", what)
        report.figures |= {
            f"lines_proven_{chargers}": every,
            f"lines_equal_{chargers}": equal / every if every else 0.0,
            f"lines_gap_{chargers}": gap,
        }


def phasors(report: Report) -> None:
    """What phasor sums give more than plain ones, with one-phase cars spread evenly over the pairs of an IT supply."""
    pairs = (["L1", "L2"], ["L2", "L3"], ["L3", "L1"])
    power = {}
    for model in ("arithmetic", "vector"):
        document: Document = {
            "format": "ev-balance/1", "id": "pairs",
            "installation": {"id": "pairs", "network": "IT_3", "line_current_model": model},
            "circuits": [{"id": "k", "parent": None, "fuse": [63, 63, 63]}],
            "chargers": [{"id": f"c{n:02}", "circuit": "k", "wiring": pairs[n % 3], "state": "queued"} for n in range(24)],
        }  # fmt: skip
        answer = dump_allocation(allocate(parse_instance(document)))
        assert checker.violations(document, answer) == []
        power[model] = checker.objective(document, answer)["power"][0]
    report.figures["it_vector_power"] = power["vector"] / power["arithmetic"]


def peers(report: Report) -> None:
    """54 one-phase chargers: acnportal and an MPC, where their environment is there or may be made."""
    python = _environment(may_make=not report.options.quick)
    if python is None:
        report.row("peers", 0, "", "", "", "a full run makes their environment")
        return
    document, matrix = _one_phase(report.options.seed)
    given = json.dumps(
        {"matrix": matrix[0], "limits": matrix[1], "max": [c["max_current"] for c in document["chargers"]]}
    )
    script = Path(__file__).with_name("balancing_peers.py")
    done = subprocess.run([python, str(script)], input=given, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    instance = parse_instance(document)
    answer = allocate(instance)
    mine_ms = min(timed(lambda: allocate(instance)) for _ in range(50)) * 1000
    rates = [setpoint.current for setpoint in answer.setpoints]
    report.row("54 one-phase", 1, mine_ms, "", "", f"least {min(rates):.2f} A, all {sum(rates):.1f} A")
    for name, peer in found.items():
        ratio = peer["ms"] / mine_ms
        report.row(
            name,
            1,
            peer["ms"],
            "",
            "",
            f"{ratio:,.0f} times as long; least {min(peer['rates']):.2f} A, all {sum(peer['rates']):.1f} A",
        )
        report.figures[f"{name}_vs_mine"] = ratio
        report.figures[f"{name}_least_a"], report.figures[f"{name}_all_a"] = min(peer["rates"]), sum(peer["rates"])
    report.figures |= {"mine_least_a": min(rates), "mine_all_a": sum(rates)}


def _one_phase(seed: int) -> tuple[Document, tuple[list[list[float]], list[float]]]:
    """A site of three rows with 54 one-phase cars whose minima do not bind, and the same as a matrix with limits."""
    rng = random.Random(seed)
    rows = [{"id": f"row {n}", "parent": "k", "fuse": [100.0] * 3} for n in range(3)]
    chargers = [
        {
            "id": f"c{n:02}", "circuit": f"row {n // 18}", "wiring": [f"L{n % 3 + 1}"], "state": "queued",
            "min_current": 0.1, "max_current": rng.choice([16.0, 20.0, 32.0]),
        }
        for n in range(PEER_CHARGERS)
    ]  # fmt: skip
    document: Document = {
        "format": "ev-balance/1", "id": "54", "installation": {"id": "54", "network": "TN_3"},
        "circuits": [{"id": "k", "parent": None, "fuse": [250.0] * 3}, *rows], "chargers": chargers,
    }  # fmt: skip
    every = range(PEER_CHARGERS)
    matrix = [[float(n % 3 == line) for n in every] for line in range(3)]
    matrix += [[float(n // 18 == row and n % 3 == line) for n in every] for row in range(3) for line in range(3)]
    return document, (matrix, [250.0] * 3 + [100.0] * 9)


def _environment(*, may_make: bool) -> str | None:
    """The Python of the peers' environment; None where there is none and it may not be made."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lade" / "bench-peers"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        if not may_make:
            return None
        print("acnportal and cvxpy are installed beside, once", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "acnportal==0.3.3", "cvxpy"], check=True)
        (folder / "ready").touch()
    return str(python)


def first_call() -> tuple[float, float]:
    """Seconds and megabytes that a process takes to its first answer, machine code lying on disk."""
    code = (
        "import resource; from balancing.allocate import make_ready; make_ready(); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, int(done.stdout) / 1024


def measured(given: Options, size: Size) -> Report:
    """Everything, and its table."""
    sizes = {
        "speed": size.speed,
        "filled": size.filled,
        "served": size.served,
        "lines": size.chosen,
        "proof s": size.proof_s,
    }
    report = Report("balancer", given, sizes, ("", "sites", "p50 ms", "p95 ms", "max ms", ""))
    proofs = proofs_for(given, size)
    make_ready()
    seconds, megabytes = first_call()
    report.row("a process to its first answer", 1, seconds * 1000, "", "", f"{megabytes:.0f} MB")
    report.figures |= {"first_call_s": seconds, "first_call_mb": megabytes}
    parts: Sequence[Callable[[], None]] = (
        lambda: speed(report, size),
        lambda: filling(report, size),
        lambda: peers(report),
        lambda: phasors(report),
        lambda: served(report, size, proofs),
        lambda: chosen(report, size, proofs),
    )
    for part in parts:
        part()
        print(f"{time.process_time():.0f} s of work", file=sys.stderr)
    report.figures["complete"] = not proofs.is_over
    return report


def main() -> None:
    given = options("balancer", "How fast and how good the balancer's answers are.")
    measured(given, QUICK if given.quick else FULL).show()


if __name__ == "__main__":
    main()
