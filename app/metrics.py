"""What Prometheus may read: one registry a process, filled from counts that exist anyway."""

from collections.abc import Callable, Iterator, Sequence
from math import isinf

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from app.database import pool_figures
from app.jobs import MailCounts
from app.redis_bus import RedisBus
from app.supervisor import ServiceState, Supervisor
from balancing.loop import Balancer
from devices.registry import CommandCounts
from devices.service import DeviceService
from domain.durations import Durations
from gql.edge import Edge
from gql.live_counts import LiveCounts

CONTENT_TYPE = CONTENT_TYPE_LATEST


def new_registry() -> CollectorRegistry:
    """A registry with the figures of the process, the platform and the garbage collector."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """Everything of the registry in Prometheus' text format."""
    return generate_latest(registry)


class ReadAtScrape(Collector):
    """Metrics that are worked out whenever somebody asks."""

    def __init__(self, read: Callable[[], Iterator[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        return self._read()


def _histogram(name: str, text: str, labels: Sequence[str] = ()) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, text, labels=labels)


def _add(family: HistogramMetricFamily, labels: Sequence[str], durations: Durations) -> HistogramMetricFamily:
    buckets = [("+Inf" if isinf(bound) else str(bound), float(count)) for bound, count in durations.up_to()]
    family.add_metric(labels, buckets, durations.total_s)
    return family


def watch_database(registry: CollectorRegistry) -> None:
    """The registry tells how many connections to PostgreSQL are open here, and how many of them are at work; nothing with SQLite."""

    def read() -> Iterator[Metric]:
        connections = pool_figures()
        if connections is not None:
            family = GaugeMetricFamily("lade_database_connections", "Connections to PostgreSQL.", labels=["state"])
            for state, count in connections.items():
                family.add_metric([state], count)
            yield family

    registry.register(ReadAtScrape(read))


def watch_bus(registry: CollectorRegistry, bus: RedisBus) -> None:
    """The registry tells the bus' counts."""

    def read() -> Iterator[Metric]:
        yield GaugeMetricFamily("lade_bus_channels", "Channels listened to.", value=bus.channel_count)
        yield GaugeMetricFamily("lade_bus_subscribers", "Listeners in this process.", value=bus.subscriber_count)
        counts = bus.counts
        for name, text, value in (
            ("published", "Messages handed to Redis.", counts.published),
            ("failed", "Messages that Redis did not take.", counts.failed),
            ("received", "Messages that Redis handed to us.", counts.received),
            ("delivered", "Messages taken by listeners.", counts.delivered),
            ("dropped", "Messages dropped because a listener was slow.", counts.dropped),
            ("gaps", "Times the listening connection was lost.", counts.gaps),
        ):
            yield CounterMetricFamily(f"lade_bus_{name}", text, value=value)
        yield GaugeMetricFamily("lade_bus_up", "1 while the connection that listens is up.", value=bus.is_listening)
        yield GaugeMetricFamily("lade_bus_waiting", "Messages that listeners have not taken.", value=bus.waiting_count)
        publishing = _histogram("lade_bus_publish_seconds", "Until Redis took what was published at once.")
        yield _add(publishing, [], counts.publications)
        lag = _histogram("lade_bus_lag_seconds", "Until what was published was heard in the same process.")
        yield _add(lag, [], counts.lags)

    registry.register(ReadAtScrape(read))


def watch_services(registry: CollectorRegistry, supervisor: Supervisor) -> None:
    """The registry tells which services run and how often each has crashed."""

    def read() -> Iterator[Metric]:
        running = GaugeMetricFamily("lade_service_running", "1 while the service runs.", labels=["service"])
        crashes = CounterMetricFamily("lade_service_crashes", "Crashes since the start.", labels=["service"])
        for name, health in supervisor.health().items():
            running.add_metric([name], float(health.state is ServiceState.RUNNING))
            crashes.add_metric([name], health.crashes)
        yield running
        yield crashes

    registry.register(ReadAtScrape(read))


def watch_mails(registry: CollectorRegistry, counts: MailCounts) -> None:
    """The registry tells what became of mails."""

    def read() -> Iterator[Metric]:
        mails = CounterMetricFamily("lade_mails", "Attempts to hand a mail to the server.", labels=["outcome"])
        for outcome in ("sent", "waiting", "failed"):
            mails.add_metric([outcome], getattr(counts, outcome))
        yield mails
        yield GaugeMetricFamily("lade_mails_queued", "Mails that wait for the server.", value=counts.queued)
        yield GaugeMetricFamily("lade_mail_oldest_seconds", "How long the first has waited.", value=counts.oldest_s)
        waiting = GaugeMetricFamily("lade_queue_waiting", "What waits to be done.", labels=["queue"])
        oldest = GaugeMetricFamily("lade_queue_oldest_seconds", "How long the first has waited.", labels=["queue"])
        given_up = GaugeMetricFamily("lade_queue_given_up", "Kept because it cannot be done.", labels=["queue"])
        for name, queue in counts.queues.items():
            waiting.add_metric([name], queue.count)
            oldest.add_metric([name], queue.oldest_s)
            given_up.add_metric([name], queue.given_up)
        yield waiting
        yield oldest
        yield given_up
        alerts = GaugeMetricFamily("lade_alerts_open", "Alerts that are not resolved.", labels=["severity"])
        for severity, number in counts.open_alerts.items():
            alerts.add_metric([severity.value], number)
        yield alerts
        yield CounterMetricFamily(
            "lade_alert_mails", "Mails about alerts that were written.", value=counts.about_alerts
        )

    registry.register(ReadAtScrape(read))


def watch_devices(registry: CollectorRegistry, devices: DeviceService) -> None:
    """The registry tells how many stations are connected, what they said, and what was wrong with it."""

    def read() -> Iterator[Metric]:
        yield GaugeMetricFamily("lade_stations_connected", "Stations connected here.", value=devices.connected_count)
        links = GaugeMetricFamily("lade_station_protocols", "The same, by what they speak.", labels=["protocol"])
        for protocol, count in devices.connected_by_protocol.items():
            links.add_metric([protocol], count)
        yield links
        yield GaugeMetricFamily(
            "lade_chargers_held", "Sockets of chargers that nobody added.", value=devices.held_count
        )
        counts = devices.ingest_counts
        for name, text, value in (
            ("reports", "Reports of chargers that were stored.", counts.reports),
            ("batches", "Transactions that they were stored in.", counts.batches),
            ("reports_refused", "Reports that were refused for good.", counts.refused),
            ("reports_unavailable", "Reports not stored because the database was away.", counts.unavailable),
            ("reports_unpublished", "Reports stored whose events the bus did not take.", counts.unpublished),
        ):
            yield CounterMetricFamily(f"lade_ingest_{name}", text, value=value)
        yield _add(_histogram("lade_ingest_batch_seconds", "Until a batch was stored."), [], counts.commits)
        waiting = GaugeMetricFamily("lade_ingest_waiting", "What is on its way from chargers.", labels=["to"])
        for to, count in devices.waiting.items():
            waiting.add_metric([to], count)
        yield waiting
        yield CounterMetricFamily(
            "lade_ingest_messages_lost", "Messages that people cannot read afterwards.", value=counts.messages_lost
        )
        yield from _commands(devices.command_counts)
        oddities = CounterMetricFamily(
            "lade_ocpp_oddities", "What was wrong with frames and upgrades.", labels=["what"]
        )
        for what, count in devices.counts.items():
            oddities.add_metric([what], count)
        yield oddities
        forgiven = CounterMetricFamily(
            "lade_ocpp_leniencies",
            "What had to be forgiven to understand a message.",
            labels=["vendor", "model", "what"],
        )
        for kind_and_what, count in devices.tallies.leniencies.items():
            forgiven.add_metric(list(kind_and_what), count)
        yield forgiven
        faults = CounterMetricFamily(
            "lade_charger_faults", "What a charger did that it should not.", labels=["charger", "what"]
        )
        for charger_and_what, count in devices.tallies.faults.items():
            faults.add_metric(list(charger_and_what), count)
        yield faults

    registry.register(ReadAtScrape(read))


def _commands(counts: CommandCounts) -> Iterator[Metric]:
    answers = CounterMetricFamily("lade_commands", "What chargers answered to commands.", labels=["command", "answer"])
    for (kind, verdict), count in counts.answers.items():
        answers.add_metric([kind, verdict.value], count)
    yield answers
    took = _histogram("lade_command_seconds", "Until a command was answered or given up.", ["command"])
    for kind, durations in counts.durations.items():
        _add(took, [kind], durations)
    yield took


def watch_balancer(registry: CollectorRegistry, balancer: Balancer) -> None:
    """The registry tells how many sites are balanced here, and what is amiss at them."""

    def read() -> Iterator[Metric]:
        figures = balancer.figures
        yield GaugeMetricFamily("lade_sites_balanced", "Sites that this process balances.", value=figures.sites)
        meters = GaugeMetricFamily("lade_meters", "Circuits with a meter, by how it is read.", labels=["state"])
        for state, count in figures.meters.items():
            meters.add_metric([state.value], count)
        yield meters
        yield GaugeMetricFamily(
            "lade_circuits_overloaded",
            "Circuits that carry more than their fuse, whatever is decided.",
            value=figures.overloaded_circuits,
        )
        counts = balancer.counts
        yield _add(
            _histogram("lade_balancer_tick_seconds", "From looking at a site until it is decided."), [], counts.ticks
        )
        yield CounterMetricFamily(
            "lade_balancer_decisions", "Decisions that said something new.", value=counts.decisions
        )
        yield CounterMetricFamily("lade_balancer_crashes", "Tasks of sites that were begun anew.", value=counts.crashes)
        yield CounterMetricFamily("lade_balancer_leases_lost", "Sites that were lost.", value=counts.leases_lost)
        offers = CounterMetricFamily("lade_balancer_offers", "Offers, by what chargers answered.", labels=["answer"])
        for verdict, count in counts.offers.items():
            offers.add_metric([verdict.value], count)
        yield offers
        yield GaugeMetricFamily("lade_balancer_offers_waiting", "Offers without an answer yet.", value=balancer.sending)

    registry.register(ReadAtScrape(read))


def _streams(counts: LiveCounts) -> Iterator[Metric]:
    followers = GaugeMetricFamily("lade_live_followers", "Who follows, by what.", labels=["root"])
    told = {
        "frames": CounterMetricFamily("lade_live_frames", "Events told, each to one follower.", labels=["root"]),
        "executions": CounterMetricFamily("lade_live_executions", "Events that were written out.", labels=["root"]),
        "resyncs": CounterMetricFamily("lade_live_resyncs", "Followers who had to begin anew.", labels=["root"]),
        "replays": CounterMetricFamily(
            "lade_live_replays", "Followers who were told what they missed.", labels=["root"]
        ),
    }
    for root, one in counts.roots.items():
        followers.add_metric([root], one.followers)
        for name, family in told.items():
            family.add_metric([root], getattr(one, name))
    yield followers
    yield from told.values()
    yield CounterMetricFamily(
        "lade_live_coalesced",
        "Events that slow readers were not told: a newer one took their place.",
        value=counts.coalesced,
    )


def watch_edge(registry: CollectorRegistry, edge: Edge) -> None:
    """The registry tells how many people and programs follow something live."""

    def read() -> Iterator[Metric]:
        counts = edge.counts
        yield GaugeMetricFamily(
            "lade_graphql_connections", "WebSockets of people and programs.", value=counts.connections
        )
        yield GaugeMetricFamily("lade_graphql_operations", "Operations that they follow.", value=counts.operations)
        yield GaugeMetricFamily(
            "lade_live_groups", "What is followed, each by all who see the same.", value=edge.live_groups
        )
        yield from _streams(edge.audiences.counts)

    registry.register(ReadAtScrape(read))
