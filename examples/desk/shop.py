"""A shop's orders. It stands in for the shop's own database, so it begins anew with a process."""

from dataclasses import dataclass, replace
from typing import Literal

Action = Literal["none", "refund", "cancel", "hand over"]


@dataclass(frozen=True)
class Order:
    """An order; money is in cents. `payer_answers`: whether the payment provider does its part."""

    number: str
    article: str
    status: Literal["processing", "on its way", "delivered", "cancelled"]
    total: int
    delivered_days_ago: int = 0
    refunded: int = 0
    payer_answers: bool = True


_ORDERS = (
    Order("A-1001", "a kettle", "delivered", 49_00, delivered_days_ago=6),
    Order("A-1002", "a bicycle", "delivered", 890_00, delivered_days_ago=12),
    Order("A-1003", "a desk lamp", "on its way", 35_50),
    Order("A-1004", "a tent", "processing", 159_00),
    Order("A-1005", "a toaster", "delivered", 29_90, delivered_days_ago=3, payer_answers=False),
    Order("A-1006", "a chair", "delivered", 75_00, delivered_days_ago=80),
)


class Shop:
    """Orders that can be looked up, refunded once, and cancelled until they leave the house."""

    def __init__(self) -> None:
        self._orders = {order.number: order for order in _ORDERS}

    def find(self, number: str) -> Order | None:
        return self._orders.get(number)

    def execute(self, action: Action, number: str, amount: int) -> None:
        """Do it, as far as it can be done; `verify` tells whether it was."""
        order = self.find(number)
        if order is None:
            return
        if action == "refund" and order.payer_answers:
            # Set, not added: the same refund asked for twice is paid once.
            self._orders[number] = replace(order, refunded=amount)
        if action == "cancel" and order.status == "processing":
            self._orders[number] = replace(order, status="cancelled")

    def verify(self, action: Action, number: str, amount: int) -> bool:
        """Whether the shop is now as the action should have left it."""
        order = self.find(number)
        if action == "refund":
            return order is not None and order.refunded == amount
        if action == "cancel":
            return order is not None and order.status == "cancelled"
        return True
