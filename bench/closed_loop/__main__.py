"""Whether the balancer keeps its word over time: `python -m bench.closed_loop`.

The real controller decides in virtual time about chargers and cars that ramp, lag, taper and disobey, over lines that lose and delay,
with meters, chargers and the portal gone for a while. Each written day (`scenarios/*.json`) is judged by the currents that really
flowed: seconds above a fuse by our own doing are to be 0, after a jump of other load the fuse is kept again within 30 s. Then come days
that nobody wrote, with troubles by chance, of which the same is asked.
"""

from collections.abc import Sequence
from time import perf_counter

from bench.closed_loop.bound import judged
from bench.closed_loop.by_chance import random_day
from bench.closed_loop.judge import Verdict
from bench.closed_loop.scenario import scenarios
from bench.closed_loop.site import Site, days
from bench.report import Options, Report, options

RANDOM_DAYS = 40
QUICK_RANDOM_DAYS = 3

COLUMNS = (
    "day", "times", "own s", "above s", "113 % s", "wait min", "first", "starts", "turns", "kWh", "of bound", "ms a look",
)  # fmt: skip


def measured(given: Options) -> Report:
    """Every written day."""
    written = scenarios()
    report = Report("closed_loop", given, {"days": len(written)}, COLUMNS)
    broken: list[str] = []
    every: list[Verdict] = []
    calm: list[float] = []
    by_chance = [
        Site(random_day(number, seed=given.seed), seed=given.seed)
        for number in range(QUICK_RANDOM_DAYS if given.quick else RANDOM_DAYS)
    ]
    for scenario in [*written, None]:
        began = perf_counter()
        if scenario is None:
            sites: Sequence[Site] = by_chance
            for site in by_chance:
                site.run()
        else:
            print(f"{scenario.name[:2]}  {scenario.claims}")
            sites = days(scenario, seed=given.seed, quick=given.quick)
        took_s = perf_counter() - began
        found = [judged(site) for site in sites]
        every += found
        broken += [f"{one.name}: {what}" for one in found for what in one.broken]
        calm += [
            one.energy
            for one, site in zip(found, sites, strict=True)
            if one.energy is not None and scenario is not None and not site.scenario.is_disturbed
        ]
        energies = [one.energy for one in found if one.energy is not None]
        report.row(
            "by chance" if scenario is None else scenario.name[:2],
            len(found),
            sum(one.own_s for one in found),
            max(one.longest_above_s for one in found),
            max(one.longest_far_above_s for one in found),
            max(one.longest_wait_s for one in found) / 60,
            max(one.first_wait_s for one in found) / 60,
            max(one.begins for one in found),
            max(one.switches for one in found),
            min(one.delivered_kwh for one in found),
            min(energies, default=float("nan")),
            1000 * took_s / max(1, sum(site.decisions for site in sites)),
        )
    for line in broken:
        print(line)
    report.figures.update(
        days_lived=len(every),
        own_minutes_above=sum(one.own_s for one in every) / 60,
        longest_above_s=max(one.longest_above_s for one in every),
        under_load=sum(one.under_load for one in every),
        longest_wait_of_bound=max(one.wait_of_bound for one in every if one.wait_of_bound is not None),
        least_of_bound_undisturbed=min(calm),
        broken=len(broken),
    )
    return report


def main() -> None:
    """The table, and with --json the figures."""
    given = options("closed_loop", "whether the balancer keeps its word over time")
    measured(given).show()


if __name__ == "__main__":
    main()
