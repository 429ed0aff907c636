"""`lade simulate` at the terminal, and at a central system that accepts everything."""

import asyncio
import json
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.commands_simulate import QUIRKS
from devices.simulator.plan import Quirks
from tests.devices.simulator.accepting_server import accepting_server
from tests.servers import free_port

ROOT = Path(__file__).parents[2]


async def lade_simulate(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from app.cli import main; main()", "simulate", *map(str, arguments)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_named_chargers_come_with_their_passwords_and_go_with_an_account(tmp_path: Path) -> None:
    """Exactly the chargers of the file connect; the JSON line agrees with the final records that the central system took."""
    file = tmp_path / "chargers.csv"
    file.write_text("# ours\nNORTH,one of them\n\nSOUTH\n")
    async with accepting_server() as central:
        status, out, err = await lade_simulate(
            central.url,
            "--identities",
            file,
            "--for",
            "4",
            "--stay",
            "0.3-0.6",
            "--away",
            "0",
            "--card",
            "C1",
            "--json",
        )
    assert status == 0, err
    figures = json.loads(out.splitlines()[-1])
    stops = central.payloads("StopTransaction")
    starts = central.payloads("StartTransaction")
    assert sorted(central.sockets) == ["NORTH", "SOUTH"]
    assert {start["idTag"] for start in starts} == {"C1"}
    assert (figures["chargers"], figures["connected"]) == (2, 2)
    assert figures["sessionsEnded"] == figures["sessionsAcknowledged"] == len(stops) >= 2
    registers = sum(stop["meterStop"] for stop in stops) - sum(start["meterStart"] for start in starts)
    assert figures["ledgerWh"] == registers


async def test_quirks_reach_every_charger() -> None:
    """Where zones are left out, no start that reaches the central system has one."""
    async with accepting_server() as central:
        status, _, err = await lade_simulate(
            *(central.url, "--chargers", "1", "--for", "2", "--stay", "0.3", "--away", "0"),
            *("--quirk", "zoneless=yes", "--quirk", "clock-offset=-3600", "--phases", "1"),
        )
    assert status == 0, err
    assert not any(start["timestamp"].endswith("Z") for start in central.payloads("StartTransaction"))


async def test_a_mixed_fleet_speaks_both_versions() -> None:
    """Every second charger speaks 2.0.1, and their sessions are in the same account."""
    async with accepting_server() as central:
        status, out, err = await lade_simulate(
            *(central.url, "--chargers", "2", "--for", "2", "--stay", "0.3", "--away", "0"),
            *("--protocol", "mixed", "--json"),
        )
    assert status == 0, err
    ends = [one for one in central.payloads("TransactionEvent") if one["eventType"] == "Ended"]
    stops = central.payloads("StopTransaction")
    assert ends
    assert stops
    assert json.loads(out.splitlines()[-1])["sessionsAcknowledged"] == len(ends) + len(stops)


async def test_a_central_system_that_is_not_there_is_told_once() -> None:
    """The reason is said in words, once a kind and not once a charger, and the exit status is 1."""
    status, out, err = await lade_simulate(
        f"ws://127.0.0.1:{free_port()}/ocpp", "--chargers", "3", "--for", "1", "--json"
    )
    assert status == 1
    assert json.loads(out)["connected"] == 0
    assert err.count(": refused: ") == 1
    assert err.splitlines()[-1] == "Error: no charger could connect."


def test_every_quirk_of_the_simulator_can_be_switched() -> None:
    """The table of names covers each field once."""
    assert sorted(field for field, _, _ in QUIRKS.values()) == sorted(field.name for field in fields(Quirks))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("http://portal",), "http://portal must begin with ws:// or wss://."),
        (("ws://portal", "--quirk", "rude=yes"), "'rude' is no quirk; choose from duplicates"),
        (("ws://portal", "--quirk", "zoneless=maybe"), "zoneless=VALUE needs: yes: times without a zone"),
        (("ws://portal", "--stay", "9-3"), "'9-3' does not go up"),
        (("ws://portal", "--phases", "4=1"), "cars have 1, 2 or 3 phases"),
        (("ws://portal", "--identities", "-"), "line 2: A came before"),
        (("ws://portal", "--identities", "-", "--chargers", "3"), "leave out --chargers."),
    ],
)
def test_what_cannot_be_meant_is_refused_with_words(arguments: tuple[str, ...], words: str) -> None:
    """Exit status 2, and the message says what would do."""
    result = CliRunner().invoke(main, ["simulate", *arguments], input="A\nA\n")
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
