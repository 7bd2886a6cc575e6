"""The shop's policy, checked by rules without a model."""

import re

from examples.desk.case import Draft
from examples.desk.shop import Order, Shop

REFUND_DAYS = 30
REFUND_LIMIT = 200_00

TEXTS = {
    "refund": f"Refunds within {REFUND_DAYS} days of delivery, up to {REFUND_LIMIT // 100} EUR "
    "without a colleague's approval.",
    "cancel": "An order can be cancelled until it ships.",
    "delivery": "Parcels take three to five working days. No delivery date is guaranteed.",
}

_PROMISE = re.compile(r"\b(guarantee|promise|definitely)\b", re.IGNORECASE)
_CARD = re.compile(r"\b(?:\d[ -]?){13,19}\b")


def violation(draft: Draft, shop: Shop) -> str | None:
    """The first rule that the draft violates, as a message to the agent; None if there is none."""
    if _PROMISE.search(draft.reply):
        return "nothing may be promised or guaranteed"
    if _CARD.search(draft.reply):
        return "a card number must not be repeated"
    if draft.action in ("refund", "cancel"):
        return _action_violation(draft, shop.find(draft.order))
    return None


def _action_violation(draft: Draft, order: Order | None) -> str | None:
    if order is None:
        return f"there is no order {draft.order!r}"
    if draft.order not in draft.reply:
        return "the reply must name the order it is about"
    return _refund_violation(draft, order) if draft.action == "refund" else None


def _refund_violation(draft: Draft, order: Order) -> str | None:
    if order.delivered_days_ago > REFUND_DAYS:
        return f"refunds end {REFUND_DAYS} days after delivery; escalate instead"
    if draft.amount > REFUND_LIMIT:
        return f"refunds over {REFUND_LIMIT} cents need a colleague; escalate instead"
    if not 0 < draft.amount <= order.total:
        return f"a refund is more than 0 and at most {order.total} cents"
    return None
