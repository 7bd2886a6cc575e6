"""A shop's orders, in memory. In place of the shop's database, so each process starts afresh."""

from dataclasses import dataclass, replace
from typing import Literal

Action = Literal["none", "refund", "cancel", "escalate"]


@dataclass(frozen=True)
class Order:
    """An order; amounts are in cents. `refundable`: whether the payment provider pays refunds."""

    number: str
    article: str
    status: Literal["processing", "on its way", "delivered", "cancelled"]
    total: int
    delivered_days_ago: int = 0
    refunded: int = 0
    refundable: bool = True


_ORDERS = (
    Order("A-1001", "a kettle", "delivered", 49_00, delivered_days_ago=6),
    Order("A-1002", "a bicycle", "delivered", 890_00, delivered_days_ago=12),
    Order("A-1003", "a desk lamp", "on its way", 35_50),
    Order("A-1004", "a tent", "processing", 159_00),
    Order("A-1005", "a toaster", "delivered", 29_90, delivered_days_ago=3, refundable=False),
    Order("A-1006", "a chair", "delivered", 75_00, delivered_days_ago=80),
)


class Shop:
    """Orders can be looked up, refunded once, and cancelled until they ship."""

    def __init__(self) -> None:
        self._orders = {order.number: order for order in _ORDERS}

    def find(self, number: str) -> Order | None:
        return self._orders.get(number)

    def execute(self, action: Action, number: str, amount: int) -> None:
        """Take the action if possible; `verify` checks whether it succeeded."""
        order = self.find(number)
        if order is None:
            return
        if action == "refund" and order.refundable:
            # Set, not added: a repeated refund is paid once.
            self._orders[number] = replace(order, refunded=amount)
        if action == "cancel" and order.status == "processing":
            self._orders[number] = replace(order, status="cancelled")

    def verify(self, action: Action, number: str, amount: int) -> bool:
        """Whether the action has had its effect."""
        order = self.find(number)
        if action == "refund":
            return order is not None and order.refunded == amount
        if action == "cancel":
            return order is not None and order.status == "cancelled"
        return True
