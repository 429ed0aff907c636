"""What charges cost."""

from domain.costs import costs_by_ids
from domain.pricing.lines import Cost
from domain.roles import SessionState
from domain.sessions import SessionRow
from gql.context import Context


async def cost_of(context: Context, row: SessionRow) -> Cost | None:
    """The cost of the session; None while it is active, when it is void, and where no tariff holds."""
    return await context.load(costs_by_ids, row.id) if row.state is SessionState.ENDED else None
