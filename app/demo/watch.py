"""What the demo sees as its people: the live statuses of the owner, the installer's decisions, and what was recorded."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from urllib.request import urlopen

from app.demo.portal import Json, Portal, PortalError

STATUSES = """
subscription Statuses($installation: ID!) {
  chargerStatus(target: {installationId: $installation}) {
    kind
    chargerId
    charger {
      name
      circuit { name }
      activeSession { user { name } }
      status { mode isOnline powerKw allocatedA sessionEnergyKwh version currentA { l1 l2 l3 } }
    }
  }
}
"""

INSTALLATIONS = "query { installations(first: 10) { nodes { id name } } }"

DECISIONS = """
query Decisions($installation: ID!, $after: String) {
  node(id: $installation) {
    ... on Installation {
      decisions(first: 100, after: $after) { nodes { decidedAt } pageInfo { hasNextPage endCursor } }
    }
  }
}
"""

SESSIONS = """
query Sessions($since: DateTime!, $after: String) {
  sessions(first: 100, after: $after, where: {startedAt: {gte: $since}, state: [ENDED]}) {
    nodes { energyKwh }
    pageInfo { hasNextPage endCursor }
  }
}
"""

EXPORT = """
mutation Export($installation: ID!, $from: Date!, $to: Date!) {
  createExport(input: {
    kind: SUMMARY, format: XLSX,
    source: {usage: {installationIds: [$installation], period: {from: $from, to: $to}, groupBy: [CHARGER]}}
  }) {
    ... on ExportSuccess { export { id } }
    ... on UserError { message }
  }
}
"""

EXPORTED = """
subscription Exported($export: ID!) {
  exportChanged(exportId: $export) { state progress url error }
}
"""

WAITING = "AWAITING_CURRENT"


@dataclass(slots=True)
class Live:
    """The newest status of every charger, and what was counted on the way."""

    events: int = 0
    queued_most: int = 0
    chargers: dict[str, Json] = field(default_factory=dict)
    went_back: int = 0
    """Events with an older version than one before: there are none."""

    @property
    def modes(self) -> Mapping[str, int]:
        """How many chargers are in each mode."""
        return Counter(charger["status"]["mode"] for charger in self.chargers.values())

    def take(self, event: Json) -> None:
        """One event of the subscription."""
        self.events += 1
        if event["kind"] not in ("SNAPSHOT", "CHANGED"):
            return
        charger, key = event["charger"], event["chargerId"]
        before = self.chargers.get(key)
        if before is not None and charger["status"]["version"] < before["status"]["version"]:
            self.went_back += 1
            return
        self.chargers[key] = charger
        self.queued_most = max(self.queued_most, self.modes.get(WAITING, 0))


async def watch(portal: Portal, installation: str, live: Live) -> None:
    """Until the subscription ends: `live` is what the owner sees."""
    async for data in portal.follow(STATUSES, installation=installation):
        live.take(data["chargerStatus"])


async def installation_of(portal: Portal) -> str:
    """The id of the one installation that this person sees."""
    nodes = (await portal.ask(INSTALLATIONS))["installations"]["nodes"]
    return str(nodes[0]["id"])


async def decision_count(portal: Portal, installation: str, *, since: datetime) -> int:
    """How many decisions the balancer stored since then."""
    count, after = 0, None
    while True:
        page = (await portal.ask(DECISIONS, installation=installation, after=after))["node"]["decisions"]
        count += sum(datetime.fromisoformat(node["decidedAt"]) >= since for node in page["nodes"])
        if not page["pageInfo"]["hasNextPage"]:
            return count
        after = page["pageInfo"]["endCursor"]


async def recorded_wh(portal: Portal, *, since: datetime) -> int:
    """Σ Wh of the sessions that began since then and ended, as this person sees them."""
    total, after = Decimal(0), None
    while True:
        page = (await portal.ask(SESSIONS, since=since.isoformat(), after=after))["sessions"]
        total += sum((Decimal(node["energyKwh"] or 0) for node in page["nodes"]), Decimal(0))
        if not page["pageInfo"]["hasNextPage"]:
            return int(total * 1000)
        after = page["pageInfo"]["endCursor"]


async def save_workbook(portal: Portal, installation: str, *, first: date, until: date, folder: Path) -> Path:
    """The file with the usage of the local days [first, until), made by the portal and downloaded by its signed address."""
    period = {"installation": installation, "from": first.isoformat(), "to": until.isoformat()}
    asked = (await portal.ask(EXPORT, **period))["createExport"]
    if "export" not in asked:
        raise PortalError(asked["message"])
    url = None
    async for data in portal.follow(EXPORTED, export=asked["export"]["id"]):
        export = data["exportChanged"]
        if export["state"] not in ("QUEUED", "RUNNING"):
            url = export["url"]
            if url is None:
                raise PortalError(export["error"] or f"The workbook is {export['state']}.")
    if url is None:
        raise PortalError("The portal did not say what became of the workbook.")
    path = folder / "usage.xlsx"
    path.write_bytes(await asyncio.to_thread(_download, url))
    return path.absolute()


def _download(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:  # noqa: S310  an address of the demo's own server
        content: bytes = answer.read()
        return content
