"""The GraphQL edge as app mounts it: its routes, made of the ports it needs."""

from typing import Final

from starlette.routing import BaseRoute, Route, WebSocketRoute

from gql.audiences import HEARTBEAT_S, Audiences
from gql.context import Ports
from gql.engine import Engine
from gql.explorer import Explorer
from gql.http import HttpEndpoint
from gql.limits import POINTS_PER_MINUTE, Meter
from gql.origins import Origins
from gql.schema.public import public_schema
from gql.socket import INIT_TIMEOUT_S, SocketCounts, SocketEndpoint

PATH: Final = "/graphql"


class Edge:
    """One API over HTTP and WebSocket. `points_per_minute` bounds each caller in this process."""

    def __init__(
        self,
        ports: Ports,
        *,
        points_per_minute: int = POINTS_PER_MINUTE,
        heartbeat_s: float = HEARTBEAT_S,
        init_timeout_s: float = INIT_TIMEOUT_S,
    ) -> None:
        schema = public_schema()
        origins = Origins(ports.public_url)
        self.engine = Engine(
            schema.core, schema.execution_context_class, ports=ports, meter=Meter(ports.clock, points_per_minute)
        )
        self.audiences = Audiences(self.engine, heartbeat_s=heartbeat_s)
        self._explorer = Explorer()
        self._http = HttpEndpoint(self.engine, origins, self._explorer)
        self._socket = SocketEndpoint(self.engine, origins, self.audiences, init_timeout_s=init_timeout_s)

    def routes(self) -> list[BaseRoute]:
        """`/graphql`: operations by POST and GET, GraphiQL by GET, graphql-transport-ws; the files of GraphiQL below it."""
        return [
            Route(PATH, self._http.answer, methods=["GET", "POST"]),
            Route(f"{PATH}/assets/{{name}}", self._explorer.asset),
            WebSocketRoute(PATH, self._socket),
        ]

    @property
    def counts(self) -> SocketCounts:
        """Connections and operations at this moment."""
        return self._socket.counts

    async def is_quiet(self) -> None:
        """Returns when nobody is connected by WebSocket."""
        await self._socket.is_quiet()
