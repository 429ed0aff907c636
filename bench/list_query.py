"""A thousand charge sessions of twelve fields, read in ten pages: `python -m bench.list_query`.

Ours through GraphQL as it is served, against endpoints that are written by hand for this one list, on the same rows; all
of them on one core, in turns, asked over one kept connection from another.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
import uvloop

from app.logs import configure_logs
from app.settings import LogFormat
from bench.houses import bench_house
from bench.http_client import Connection
from bench.processes import Served, server, take_cores
from bench.report import Options, Report, median, options, percentile
from bench.site import Site, make_site
from gql.ids import global_id

SESSIONS: Final = 1_000
PAGE: Final = 100
FIELDS: Final = (
    "id", "state", "installationName", "chargerName", "userName", "startedAt", "endedAt", "registeredAt", "energyKwh",
    "connectedSeconds", "stopReason", "externalId",
)  # fmt: skip
QUERY: Final = f"""
query ($installationId: ID!, $after: String) {{
  sessions(where: {{installationId: {{eq: $installationId}}}}, first: {PAGE}, after: $after) {{
    nodes {{ {" ".join(FIELDS)} }}
    pageInfo {{ endCursor hasNextPage }}
  }}
}}
"""

Node = dict[str, Any]


@dataclass(slots=True)
class Contender:
    """One way to read the list, with how long each time took."""

    title: str
    served: Served
    read: Callable[[], list[Node]]
    seconds: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    def once(self) -> None:
        """The whole list is read once more."""
        before, begin = self.served.moment().cpu_s, time.perf_counter()
        found = self.read()
        self.seconds.append(time.perf_counter() - begin)
        self.cpu_s += self.served.moment().cpu_s - before
        assert len(found) == SESSIONS

    @property
    def ms(self) -> float:
        """Median of the milliseconds for a thousand sessions."""
        return median(self.seconds) * 1000


def through_graphql(served: Served, site: Site) -> Callable[[], list[Node]]:
    """Reads the list as the owners of the site, one after the other: each has so many points a minute."""
    connection = Connection(served.port)
    tokens = cycle(site.owner_tokens)
    installation_id = global_id("Installation", site.installation_id)

    def read() -> list[Node]:
        token, found, after = next(tokens), list[Node](), None
        while True:
            variables = {"installationId": installation_id, "after": after}
            body = orjson.dumps({"query": QUERY, "variables": variables})
            answer = orjson.loads(connection.request("POST", "/graphql", token=token, body=body))
            page = answer["data"]["sessions"]
            found += page["nodes"]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return found

    return read


def by_hand(served: Served, site: Site, path: str) -> Callable[[], list[Node]]:
    """Reads the list from the endpoint at that path."""
    connection = Connection(served.port)
    tokens = cycle(site.owner_tokens)

    def read() -> list[Node]:
        token, found, after = next(tokens), list[Node](), ""
        while True:
            page = orjson.loads(
                connection.request("GET", f"{path}?installation={site.installation_id}{after}", token=token)
            )
            found += page["nodes"]
            after = f"&after={quote(page['endCursor'])}"
            if not page["hasNextPage"]:
                return found

    return read


def same(ours: Sequence[Node], theirs: Sequence[Node]) -> bool:
    """Whether both say the same of the same sessions; ids are global in one of them."""
    names = [name for name in FIELDS if name not in ("id", "energyKwh")]
    return all(
        [one[name] for name in names] == [other[name] for name in names]
        and float(one["energyKwh"]) == float(other["energyKwh"])
        and one["id"] == global_id("ChargeSession", other["id"])
        for one, other in zip(ours, theirs, strict=True)
    )


async def measured(rounds: int, *, seed: int) -> list[Contender]:
    """Ours, the endpoint that asks who one is, and the bare one; in turns, `rounds` times each."""
    core = take_cores()
    with tempfile.TemporaryDirectory(prefix="lade-bench-") as folder:
        async with (
            bench_house(Path(folder)) as (house, environment),
            server("ours", core=core, environment=environment) as ours,
            server("orjson", core=core, environment=environment) as orjson_served,
        ):
            site = await make_site(house, sessions=SESSIONS, seed=seed)
            contenders = [
                Contender("ours", ours, through_graphql(ours, site)),
                Contender("by hand, signed in", orjson_served, by_hand(orjson_served, site, "/my/sessions")),
                Contender("by hand, bare", orjson_served, by_hand(orjson_served, site, "/sessions")),
            ]
            first, second, third = (one.read() for one in contenders)
            assert same(first, second)
            assert same(first, third)
            for _ in range(rounds):
                for one in contenders:
                    one.once()
    return contenders


def reported(given: Options, rounds: int, contenders: Sequence[Contender]) -> Report:
    """The table and the figures."""
    sizes = {"sessions": SESSIONS, "fields": len(FIELDS), "page": PAGE, "rounds": rounds}
    columns = ("", "ms per 1,000", "p10", "p90", "requests/s", "server CPU ms per 1,000", "times")
    report = Report("list_query", given, sizes, columns)
    ours, signed_in, bare = contenders
    for one in contenders:
        report.row(
            one.title, one.ms, percentile(one.seconds, 0.1) * 1000, percentile(one.seconds, 0.9) * 1000,
            SESSIONS / PAGE / one.ms * 1000, one.cpu_s / rounds * 1000, one.ms / ours.ms,
        )  # fmt: skip
    report.figures.update(
        vs_orjson_endpoint=ours.ms / bare.ms,
        vs_orjson_endpoint_signed_in=ours.ms / signed_in.ms,
        cpu_vs_orjson_endpoint=ours.cpu_s / bare.cpu_s,
        ms_per_1000=ours.ms,
        ms_per_1000_orjson=bare.ms,
        ms_per_1000_orjson_signed_in=signed_in.ms,
        requests_per_s=SESSIONS / PAGE / ours.ms * 1000,
    )
    return report


def main() -> None:
    """Measured and shown."""
    given = options("list_query", "1,000 charge sessions of 12 fields: GraphQL against endpoints written by hand.")
    configure_logs(LogFormat.AUTO, "warning")
    rounds = 40 if given.quick else 500
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        contenders = runner.run(measured(rounds, seed=given.seed))
    reported(given, rounds, contenders).show()


if __name__ == "__main__":
    main()
