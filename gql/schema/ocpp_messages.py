"""What chargers and the portal say to each other, for those who look after them."""

from datetime import datetime

import strawberry

from domain.views.ocpp_message_views import OcppMessageRow, messages_by_ids
from gql.schema.nodes import Node, NodeKind


@strawberry.type(
    description="A message between a charger's station and the portal, kept 30 days. For SERVICE and ADMINISTRATOR. Heartbeats and "
    "answers that say nothing are not kept."
)
class OcppMessage(Node):
    """Read from OcppMessageRow."""

    at: datetime = strawberry.field(description="When it came or went, by the portal's clock.")
    is_from_charger: bool
    action: str = strawberry.field(description="Of an answer: that of what it answers.")
    payload: str = strawberry.field(description="As JSON; card numbers are masked, passwords left out.")


NODES = (NodeKind(OcppMessage, OcppMessageRow, messages_by_ids),)
"""Messages."""
