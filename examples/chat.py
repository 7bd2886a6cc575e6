"""An agent to chat with in a browser: `turnwise dev examples.chat:agents`.

It looks an order up, and asks a person before it pays money back.
"""

import re
from typing import Any

from agents import Agent, function_tool

from examples.offline import Call, ConversationView, converse, model


@function_tool
def order_status(order: str) -> str:
    """Say where an order is."""
    return f"Order {order} was shipped on Monday."


@function_tool(needs_approval=True)
def refund(order: str) -> str:
    """Pay the money for an order back."""
    return f"The money for order {order} is on its way back."


def reply(conversation: ConversationView) -> str | list[Call]:
    """What answers without an API key: it knows orders by names like A-1001."""
    said = conversation.user_messages[-1]
    order = re.search(r"\b[A-Z]-\d+\b", said)
    if order is None:
        return converse(conversation)
    tool = "refund" if "refund" in said.lower() else "order_status"
    if outputs := conversation.outputs(tool):
        return outputs[-1]
    return [Call(tool, {"order": order[0]})]


agents = [
    Agent[Any](
        name="support",
        instructions="You help customers of a shop.",
        tools=[order_status, refund],
        model=model(reply),
    )
]
