"""The lines of a bill."""

from datetime import date
from decimal import Decimal

import strawberry

from domain.roles import CostUnit
from gql.schema.quantities import Money


@strawberry.type(
    description="One part of a tariff of one charge on one local day. Net and VAT are rounded to the currency's smallest unit once each, a "
    "half to the even one; all totals are sums of lines."
)
class CostLine:
    """Read from domain.pricing.lines.CostLine."""

    text: str = strawberry.field(description="What is paid for, on which day, by which tariff.")
    day: date = strawberry.field(description="In the installation's zone.")
    quantity: Decimal = strawberry.field(
        description="kWh exact; hours with six decimals (the amount is of whole seconds)."
    )
    unit: CostUnit
    unit_price: Money = strawberry.field(
        description="Without VAT; the mean, weighted by energy, where imported prices changed in the day."
    )
    amount: Money = strawberry.field(description="What is to be paid: netAmount and vatAmount.")
    net_amount: Money = strawberry.field(description="Quantity by unit price.")
    vat_amount: Money
    vat_percent: Decimal
