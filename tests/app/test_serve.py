"""A whole process: it answers, tells the truth about itself, ends when told to, and says in words why it cannot begin."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.database import Database
from app.serve import Running, listen, serving
from app.settings import ALL_ROLES, OperatorError, Settings
from tests.app.test_embedded import wait_for_end
from tests.servers import free_port, redis_server

ROOT = Path(__file__).parent.parent.parent
LADE = [sys.executable, "-c", "from app.cli import main; main()"]
SECRET = "s" * 32


@asynccontextmanager
async def server(settings: Settings) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    async with (
        serving(settings, ALL_ROLES, listen(settings.host, 0)) as running,
        httpx.AsyncClient(base_url=running.url) as client,
    ):
        yield running, client


def settings_of(location: Database, redis_url: str | None, folder: Path) -> Settings:
    file = location.sqlite_file
    url = location.postgresql_url if file is None else f"sqlite://{file}"
    return Settings(data_dir=folder, secret_key=SECRET, database_url=url, redis_url=redis_url)


async def test_a_server_that_is_well_says_so(database_location: Database, redis_url: str, tmp_path: Path) -> None:
    """Live, ready with every part named, and with figures."""
    async with server(settings_of(database_location, redis_url, tmp_path)) as (running, client):
        live = await client.get("/livez")
        assert (live.status_code, live.json()) == (200, {"live": True})
        ready = await client.get("/readyz")
        services = running.house.supervisor.health()
        assert (ready.status_code, ready.json()) == (
            200,
            {
                "ready": True,
                "roles": ["api", "balancer", "devices", "jobs"],
                "database": "ok",
                "bus": "ok",
                "services": dict.fromkeys(services, "ok"),
            },
        )
        assert {"mail", "housekeeping"} <= set(services)
        figures = (await client.get("/metrics")).text
        assert "\nlade_bus_gaps_total 0.0\n" in figures
        assert '\nlade_service_running{service="mail"} 1.0\n' in figures
        assert "\nlade_stations_connected 0.0\n" in figures
        assert '\nlade_meters{state="lost"} 0.0\n' in figures
        assert "\nlade_ingest_reports_total 0.0\n" in figures
        assert "\nlade_graphql_connections 0.0\n" in figures
        assert "\nlade_bus_up 1.0\n" in figures
        assert '\nlade_balancer_tick_seconds_bucket{le="+Inf"} 0.0\n' in figures
        is_pooled = 'lade_database_connections{state="idle"}' in figures
        assert is_pooled is (database_location.sqlite_file is None)


async def test_a_lost_bus_is_told_and_found_again(sqlite_template: Path, tmp_path: Path) -> None:
    """While Redis is away /readyz is 503 and names the bus; /livez goes on; with Redis back, all is well."""
    port = free_port()
    with contextlib.ExitStack() as servers:
        url = servers.enter_context(redis_server(tmp_path, port=port))
        settings = Settings(data_dir=tmp_path, secret_key=SECRET, redis_url=url)
        async with server(settings) as (running, client):
            assert (await client.get("/readyz")).status_code == 200
            servers.close()
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["database"] == "ok"
            assert ready.json()["bus"] != "ok"
            assert (await client.get("/livez")).status_code == 200
            with redis_server(tmp_path, port=port):
                async with asyncio.timeout(10), running.house.bus.subscribe("x"):
                    assert (await client.get("/readyz")).status_code == 200
                await client.aclose()


async def test_a_crashed_service_is_told(database_location: Database, redis_url: str, tmp_path: Path) -> None:
    """A service between crash and restart makes the process not ready, named with the class of the crash only."""

    async def crashing() -> None:
        crashed.set()
        raise LookupError("words of a person")

    crashed = asyncio.Event()
    async with server(settings_of(database_location, redis_url, tmp_path)) as (running, client):
        running.house.supervisor.run("ill", crashing)
        await crashed.wait()
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["services"]["ill"] == "restarting after LookupError"
        assert 'lade_service_crashes_total{service="ill"}' in (await client.get("/metrics")).text


async def test_a_killed_valkey_is_replaced(tmp_path: Path) -> None:
    """The embedded Valkey dies; the supervisor starts another and the bus finds it."""
    async with server(Settings(data_dir=tmp_path, secret_key=SECRET)) as (running, client):
        bus = running.house.bus
        async with bus.subscribe("x") as messages:
            pid = _pid_of_valkey(tmp_path)
            os.kill(pid, signal.SIGKILL)
            assert wait_for_end(pid)
            async with asyncio.timeout(20):
                while bus.counts.gaps == 0:  # noqa: ASYNC110  the connection's end is noticed a moment later
                    await asyncio.sleep(0.01)
                async with bus.subscribe("y"):
                    pass
                assert await bus.send("x", b"again") == 1
                assert await anext(messages) == b"again"
            assert (await client.get("/readyz")).json()["bus"] == "ok"


def _pid_of_valkey(folder: Path) -> int:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "valkey" / "valkey.sock"))
        client.sendall(b"INFO server\r\n")
        text = client.recv(65536).decode()
    return int(text.split("process_id:")[1].split()[0])


async def test_every_answer_has_an_id(database_location: Database, redis_url: str, tmp_path: Path) -> None:
    """An id of a proxy is kept when it is harmless, else one is made; unknown addresses are told as JSON."""
    async with server(settings_of(database_location, redis_url, tmp_path)) as (_, client):
        kept = await client.get("/livez", headers={"x-request-id": "proxy-12345678"})
        assert kept.headers["x-request-id"] == "proxy-12345678"
        made = await client.get("/nowhere", headers={"x-request-id": "bad id\x7f"})
        assert len(made.headers["x-request-id"]) == 16
        assert (made.status_code, made.json()["error"]) == (404, "NOT_FOUND")
        assert (await client.post("/livez")).status_code == 405


async def test_the_public_url_follows_the_port(database_location: Database, redis_url: str, tmp_path: Path) -> None:
    """Without LADE_PUBLIC_URL links point to the port that was really taken."""
    async with server(settings_of(database_location, redis_url, tmp_path)) as (running, _):
        assert running.house.settings.public_url == running.url


def test_a_port_in_use_is_told() -> None:
    """The message names port, host and what to do."""
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OperatorError, match=rf"^Port {port} on 127\.0\.0\.1 is in use\. .*--port or LADE_PORT"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
def test_a_foreign_address_is_told(host: str) -> None:
    """An address that is none of this machine's names LADE_HOST."""
    with pytest.raises(OperatorError, match=r"LADE_HOST"):
        listen(host, 0)


def command(*arguments: str, folder: Path, given: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "LADE_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT), **environ}
    return subprocess.run(
        [*LADE, *arguments],
        env=env,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder.parent,
    )


@contextlib.contextmanager
def process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Inside: `lade serve` answers at the URL."""
    env = {"PATH": os.environ["PATH"], "LADE_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT), "LADE_LOG_LEVEL": "error"}
    with subprocess.Popen([*LADE, "serve", "--port", "0"], env=env, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            yield running, running.stderr.readline().split(" at ")[1].split(" ")[0]
        finally:
            running.kill()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_an_orderly_way_when_told(tmp_path: Path, told: signal.Signals) -> None:
    """After SIGTERM or Ctrl-C the status is 0, nothing was an error, and its Valkey is gone."""
    with process(tmp_path) as (running, url):
        assert httpx.get(f"{url}/readyz").status_code == 200
        valkey = _pid_of_valkey(tmp_path)
        running.send_signal(told)
        assert running.stderr is not None
        assert running.stderr.read() == ""
        assert running.wait(20) == 0
        assert wait_for_end(valkey)


def test_nothing_is_left_when_it_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the server ends its Valkey too, and the next start is as any other."""
    with process(tmp_path) as (running, _):
        valkey = _pid_of_valkey(tmp_path)
        running.kill()
        running.wait(20)
        assert wait_for_end(valkey)
    with process(tmp_path) as (_, url):
        assert httpx.get(f"{url}/readyz").status_code == 200


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"LADE_DATA_DIR": "/proc/nowhere"}, "Error: The data folder /proc/nowhere cannot be written"),
        ({"LADE_PORT": "x"}, "Error: LADE_PORT is 'x'"),
        ({"LADE_REDIS_URL": "redis://127.0.0.1:1/0"}, "Error: Redis at redis://127.0.0.1:1/0 cannot be used"),
        (
            {"LADE_DATABASE_URL": "postgresql://a:hunter2@127.0.0.1:1/x"},
            "Error: PostgreSQL at postgresql://127.0.0.1:1/x",
        ),
        ({"LADE_LOG_FORMAT": "xml"}, "Error: LADE_LOG_FORMAT is 'xml'"),
    ],
)
def test_what_keeps_it_from_serving_is_told_in_one_line(tmp_path: Path, environ: dict[str, str], words: str) -> None:
    """Status 2 and one message that says what to do; no traceback, no password."""
    ran = command("serve", folder=tmp_path / "data", **{"LADE_PORT": "0", "LADE_LOG_LEVEL": "error", **environ})
    assert ran.returncode == 2
    assert ran.stderr.startswith(words)
    assert "Traceback" not in ran.stderr
    assert "hunter2" not in ran.stderr


def test_some_roles_want_servers_of_their_own(tmp_path: Path) -> None:
    """A part of the roles with an embedded Valkey would talk to nobody; an unknown role is named."""
    ran = command("serve", "--roles", "api,devices", folder=tmp_path / "data")
    assert (ran.returncode, "set LADE_REDIS_URL and LADE_DATABASE_URL" in ran.stderr) == (2, True)
    ran = command("serve", "--roles", "api,cook", folder=tmp_path / "data")
    assert (ran.returncode, "cook is no role; choose from api, devices, balancer, jobs" in ran.stderr) == (2, True)


def test_an_administrator_is_made_once(tmp_path: Path) -> None:
    """The password comes by standard input; a second account of that address is refused with status 1."""
    arguments = ("create-admin", "--name", "Kari", "--email", "kari@example.org", "--password-stdin")
    first = command(*arguments, folder=tmp_path / "data", given="correct horse battery\n")
    assert (first.returncode, first.stdout) == (0, "kari@example.org can sign in now, as administrator.\n")
    second = command(*arguments, folder=tmp_path / "data", given="correct horse battery\n")
    assert second.returncode == 1
    assert "There is an account with this address already" in second.stderr
    weak = command(*arguments, folder=tmp_path / "data", given="short\n")
    assert (weak.returncode, "Traceback" in weak.stderr) == (1, False)


def test_migrate_says_what_it_did(tmp_path: Path) -> None:
    """The first run names the migrations, the second finds nothing to do."""
    assert command("migrate", folder=tmp_path / "data").stdout.startswith("applied domain.0001_initial")
    assert command("migrate", folder=tmp_path / "data").stdout == "nothing to do\n"


def test_logs_are_json_off_a_terminal(tmp_path: Path) -> None:
    """Each line is one object, with the event, its level and its time."""
    lines = [json.loads(line) for line in command("migrate", folder=tmp_path / "data").stderr.splitlines()]
    assert {"event": "tables made", "level": "info", "logger": "app.database"}.items() <= lines[0].items()
    assert lines[0]["timestamp"].endswith("Z")
