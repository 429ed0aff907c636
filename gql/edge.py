"""The GraphQL edge as app mounts it: its routes, made of the ports it needs."""

from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Send

from gql.audiences import HEARTBEAT_S, Audiences
from gql.context import Ports
from gql.engine import Engine, Request
from gql.explorer import Explorer
from gql.http import HttpEndpoint
from gql.limits import MAX_SUBSCRIPTIONS, POINTS_PER_MINUTE, Meter
from gql.origins import Origins
from gql.schema.public import public_schema
from gql.socket import INIT_TIMEOUT_S, Connection, SocketCounts, SocketEndpoint
from gql.sse import EventStreams

PATH: Final = "/graphql"


class Edge:
    """One API over HTTP and WebSocket. `points_per_minute` and `most_subscriptions` bound each caller in this process."""

    def __init__(
        self,
        ports: Ports,
        *,
        points_per_minute: int = POINTS_PER_MINUTE,
        heartbeat_s: float = HEARTBEAT_S,
        init_timeout_s: float = INIT_TIMEOUT_S,
        most_subscriptions: int = MAX_SUBSCRIPTIONS,
    ) -> None:
        schema = public_schema()
        origins = Origins(ports.public_url)
        self.engine = Engine(
            schema.core, schema.execution_context_class, ports=ports, meter=Meter(ports.clock, points_per_minute)
        )
        self.audiences = Audiences(self.engine, heartbeat_s=heartbeat_s, most_subscriptions=most_subscriptions)
        self._explorer = Explorer()
        self._streams = EventStreams()
        self._http = HttpEndpoint(self.engine, origins, self._explorer, stream=self._stream)
        self._socket = SocketEndpoint(self.engine, origins, self.audiences, init_timeout_s=init_timeout_s)

    def routes(self) -> list[BaseRoute]:
        """`/graphql`: operations by POST and GET, as JSON or events, GraphiQL by GET, graphql-transport-ws; GraphiQL's files below."""
        return [
            Route(PATH, self._http.answer, methods=["GET", "POST"]),
            Route(f"{PATH}/assets/{{name}}", self._explorer.asset),
            WebSocketRoute(PATH, self._socket),
        ]

    def _stream(self, request: Request, token: str | None, address: str, traceparent: str | None) -> Response:
        def connect(receive: Receive, send: Send) -> Connection:
            # How large it may be was decided when it came by HTTP.
            return Connection(
                self.engine,
                self.audiences,
                receive,
                send,
                address=address,
                most_characters=None,
                traceparent=traceparent,
                looks=self._socket.looks,
            )

        return self._streams.stream(connect, request, token)

    @property
    def counts(self) -> SocketCounts:
        """Connections and operations at this moment; a stream of events is one of each."""
        sockets, streams = self._socket.counts, self._streams.count
        return SocketCounts(sockets.connections + streams, sockets.operations + streams)

    async def close(self) -> None:
        """Streams of events end; sockets are ended by whoever serves them."""
        await self._streams.close()

    @property
    def live_groups(self) -> int:
        """How many things are followed, each by all who see the same of it."""
        return self.audiences.count

    async def is_quiet(self) -> None:
        """Returns when nobody is connected by WebSocket."""
        await self._socket.is_quiet()
