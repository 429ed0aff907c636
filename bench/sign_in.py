"""Signing in while others try to guess: `python -m bench.sign_in`.

A thousand wrong sign-ins a second from ten addresses at a hundred accounts, and beside them right ones from other addresses, also
at those accounts. Then tries at addresses that have an account and at such that have none, whose times must not tell which is which.
"""

import asyncio
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvloop

from app.house import House
from app.logs import configure_logs
from app.settings import LogFormat
from bench.authorization import portal
from bench.houses import bench_house
from bench.report import Options, Report, median, options, percentile
from domain.identity.accounts import create_account

_PASSWORD: Final = "nine copper wires"  # noqa: S105  of accounts that live for one run
_ATTACKERS: Final = 10
_CONNECTIONS_EACH: Final = 8
_ACCOUNTS: Final = 100
_LIMIT_MS: Final = 1000.0
_MOST_DIFFERENCE: Final = 5.0
_QUERY: Final = (
    "mutation SignIn($input: SignInInput!) { signIn(input: $input) { __typename ... on UserError { code } } }"
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    seconds: float
    wrong_per_s: float
    right_per_s: float
    tries: int
    """At existing and at absent addresses, each."""


QUICK: Final = Size(seconds=10.0, wrong_per_s=1000.0, right_per_s=5.0, tries=100)
FULL: Final = Size(seconds=30.0, wrong_per_s=1000.0, right_per_s=5.0, tries=200)


@dataclass(slots=True)
class Wrong:
    """What the attackers were told, by code, and how often they had to wait for a free connection."""

    codes: Counter[str] = field(default_factory=Counter)
    late: int = 0


class Client:
    """One HTTP connection from one address."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self._reader = reader
        self._writer = writer
        self._port = port

    async def sign_in(self, email: str, password: str) -> str:
        """The code of the answer; `SignInSuccess` when it was right."""
        body = json.dumps({"query": _QUERY, "variables": {"input": {"email": email, "password": password}}}).encode()
        self._writer.write(
            f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        answer = json.loads(await self._reader.readexactly(length))["data"]["signIn"]
        return str(answer.get("code", answer["__typename"]))


@asynccontextmanager
async def client_from(address: str, port: int) -> AsyncIterator[Client]:
    """Inside: a connection from that address of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        yield Client(reader, writer, port)
    finally:
        writer.close()


async def attack(size: Size, port: int, emails: Sequence[str], wrong: Wrong) -> None:
    """Wrong sign-ins at fixed times, round about through the addresses and the accounts."""
    async with AsyncExitStack() as stack:
        free: list[asyncio.Queue[Client]] = []
        for number in range(_ATTACKERS):
            queue: asyncio.Queue[Client] = asyncio.Queue()
            for _ in range(_CONNECTIONS_EACH):
                queue.put_nowait(await stack.enter_async_context(client_from(f"127.0.0.{number + 10}", port)))
            free.append(queue)

        async def one(queue: asyncio.Queue[Client], email: str) -> None:
            wrong.late += queue.empty()
            client = await queue.get()
            wrong.codes[await client.sign_in(email, "wrong password")] += 1
            queue.put_nowait(client)

        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(size.seconds * size.wrong_per_s)):
                await asyncio.sleep(max(0.0, begin + number / size.wrong_per_s - loop.time()))
                tasks.create_task(one(free[number % _ATTACKERS], emails[number % len(emails)]), name="wrong")


async def right_ones(size: Size, port: int, emails: Sequence[str]) -> tuple[list[float], Counter[str]]:
    """(seconds of each, what they were told): right sign-ins, each from an address that nobody else has."""
    latencies: list[float] = []
    told: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    begin = loop.time() + 1.0

    async def one(number: int) -> None:
        async with client_from(f"127.1.{number // 250}.{number % 250 + 1}", port) as client:
            began = time.perf_counter()
            told[await client.sign_in(emails[number % len(emails)], _PASSWORD)] += 1
            latencies.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as tasks:
        for number in range(int((size.seconds - 2.0) * size.right_per_s)):
            await asyncio.sleep(max(0.0, begin + number / size.right_per_s - loop.time()))
            tasks.create_task(one(number), name="right")
    return latencies, told


async def compare(size: Size, port: int, emails: Sequence[str]) -> tuple[list[float], list[float]]:
    """Milliseconds of wrong sign-ins at addresses with an account, and at such without; by turns, each from an address of its own."""
    found: tuple[list[float], list[float]] = ([], [])
    addresses = (f"127.2.{number // 250}.{number % 250 + 1}" for number in itertools.count())
    for number in range(size.tries):
        for place, email in enumerate((emails[number % len(emails)], f"nobody{number:03d}@example.com")):
            async with client_from(next(addresses), port) as client:
                began = time.perf_counter()
                code = await client.sign_in(email, "wrong password")
                found[place].append((time.perf_counter() - began) * 1000)
                if code != "WRONG_CREDENTIALS":
                    raise RuntimeError(f"a first wrong try was told {code}")
    return found


async def _accounts(house: House, count: int, prefix: str) -> list[str]:
    emails = [f"{prefix}{number:03d}@example.com" for number in range(count)]
    for email in emails:
        await create_account("Somebody", email, _PASSWORD, passwords=house.passwords, now=house.clock.now())
    return emails


async def measure(given: Options, size: Size, report: Report) -> None:
    """The table's rows and the figures."""
    del given
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-bench-")))
        house, environment = await stack.enter_async_context(bench_house(folder))
        attacked = await _accounts(house, _ACCOUNTS, "person")
        # Accounts whose limits nobody has used, so that only the time of an answer can tell about them.
        quiet = await _accounts(house, _ACCOUNTS, "nobodys")
        port = await stack.enter_async_context(portal(environment))
        existing, absent = await compare(size, port, quiet)
        wrong = Wrong()
        attacking = asyncio.create_task(attack(size, port, attacked, wrong), name="attack")
        latencies, told = await right_ones(size, port, attacked)
        await attacking
    right_ms = [one * 1000 for one in latencies]
    answered = sum(wrong.codes.values())
    report.row(
        "right sign-ins under attack", len(right_ms), median(right_ms), percentile(right_ms, 0.99), max(right_ms)
    )
    report.row("wrong, with an account", len(existing), median(existing), percentile(existing, 0.99), max(existing))
    report.row("wrong, without an account", len(absent), median(absent), percentile(absent, 0.99), max(absent))
    differ = abs(median(existing) - median(absent)) / median(absent) * 100
    failed = sum(told.values()) - told["SignInSuccess"]
    report.figures.update(
        wrong_offered_per_s=size.wrong_per_s,
        wrong_answered=answered,
        wrong_hashed=wrong.codes["WRONG_CREDENTIALS"],
        wrong_refused=wrong.codes["RATE_LIMITED"],
        wrong_waited_for_a_connection=wrong.late,
        right_count=len(right_ms),
        right_failed=failed,
        right_p50_ms=median(right_ms),
        right_p99_ms=percentile(right_ms, 0.99),
        limit_ms=_LIMIT_MS,
        existing_median_ms=median(existing),
        absent_median_ms=median(absent),
        medians_differ_percent=differ,
        is_within_limits=failed == 0 and percentile(right_ms, 0.99) <= _LIMIT_MS and differ <= _MOST_DIFFERENCE,
    )


def main() -> None:
    """The bench."""
    given = options("sign_in", __doc__.splitlines()[0])
    configure_logs(LogFormat.CONSOLE, "error")
    size = QUICK if given.quick else FULL
    sizes = {
        "seconds": size.seconds,
        "wrong a second": size.wrong_per_s,
        "from addresses": _ATTACKERS,
        "at accounts": _ACCOUNTS,
        "right a second": size.right_per_s,
        "tries each": size.tries,
    }
    report = Report("sign_in", given, sizes, ("what", "count", "p50 ms", "p99 ms", "max ms"))
    uvloop.run(measure(given, size, report))
    report.show()


if __name__ == "__main__":
    main()
