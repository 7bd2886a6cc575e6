"""Rules in place of a real model: they answer by keywords and tool outputs."""

import json
import re
from typing import Any

from examples.desk.case import Draft, Intent, Plan, Request, ToolName
from examples.offline import Call, ConversationView

_ORDER = re.compile(r"\b[A-Z]-\d{4}\b")
_KEYWORDS: dict[Intent, str] = {
    "refund": r"refund|money back|return|broken",
    "cancel": r"cancel|changed my mind",
    "status": r"where|status|arrive|track|parcel",
}
_TOOLS: dict[Intent, list[ToolName]] = {
    "refund": ["find_order", "read_policy"],
    "cancel": ["find_order", "read_policy"],
    "status": ["find_order", "track_parcel"],
    "question": ["read_policy"],
}


def classify(conversation: ConversationView) -> list[Call]:
    """Triage: what the customer wants, and about which order."""
    last = conversation.user_messages[-1]
    mentioned = [number for text in conversation.user_messages for number in _ORDER.findall(text)]
    request = Request(
        intent=_intent(last), order=mentioned[-1] if mentioned else "", summary=last[:80]
    )
    return [Call("transfer_to_planner", request.model_dump())]


def plan(conversation: ConversationView) -> list[Call]:
    """The planner: which tools the agent needs."""
    request = _request(conversation)
    tools = _TOOLS[request.intent]
    if not request.order:
        tools = [tool for tool in tools if tool == "read_policy"]
    steps = [*(f"use {tool}" for tool in tools), "answer within the policy"]
    return [Call("transfer_to_agent", Plan(steps=steps, tools=tools).model_dump())]


def work(conversation: ConversationView) -> list[Call]:
    """The agent: the planned tools in order, then an answer, which it fixes if it is rejected."""
    request = _request(conversation)
    for tool in Plan(**conversation.calls("transfer_to_agent")[-1]).tools:
        if not conversation.calls(tool):
            return [Call(tool, _arguments(tool, request))]
    return [Call("resolve", _draft(conversation, request).model_dump())]


def review(conversation: ConversationView) -> str:
    """The reviewer: is the tone polite?"""
    reply = conversation.user_messages[-1]
    rude = re.search(r"calm down|obviously|not my problem", reply, re.IGNORECASE)
    complaint = f"{rude.group()!r} is rude; say it kindly" if rude else ""
    return json.dumps({"passes": rude is None, "complaint": complaint})


def _intent(text: str) -> Intent:
    found = (name for name, words in _KEYWORDS.items() if re.search(words, text, re.IGNORECASE))
    return next(found, "question")


def _request(conversation: ConversationView) -> Request:
    return Request(**conversation.calls("transfer_to_planner")[-1])


def _arguments(tool: ToolName, request: Request) -> dict[str, Any]:
    if tool == "read_policy":
        known = request.intent in ("refund", "cancel")
        return {"topic": request.intent if known else "delivery"}
    return {"order": request.order}


def _draft(conversation: ConversationView, request: Request) -> Draft:
    rejections = conversation.outputs("resolve")
    message = conversation.user_messages[-1]
    if any("escalate" in rejection for rejection in rejections):
        reply = f"A colleague will look at order {request.order}, as our policy requires."
        return _make_draft(reply, request, "escalate", next_action="a colleague answers in a day")
    draft = _compliant_draft(conversation, request)
    draft.reply = _violating_prefix(message, len(rejections)) + draft.reply
    return draft


def _violating_prefix(message: str, rejections: int) -> str:
    """Text that fails the policy check, if the customer is insistent, angry or wants certainty."""
    if re.search(r"insist", message, re.IGNORECASE):
        return "I promise you whatever you like. "
    if rejections:
        return ""
    if message.isupper():
        return "Calm down. "
    return "I guarantee it. " if re.search(r"for certain|today", message, re.IGNORECASE) else ""


def _compliant_draft(conversation: ConversationView, request: Request) -> Draft:
    if request.intent == "question":
        return _make_draft(conversation.outputs("read_policy")[-1], request, next_action="none")
    if not request.order:
        return _make_draft("Which order is it about?", request, next_action="waits for its number")
    order = json.loads(conversation.outputs("find_order")[-1])
    if order is None:
        reply = f"I cannot find an order {request.order}."
        return _make_draft(reply, request, next_action="waits for another number")
    return _draft_about(order, conversation, request)


def _draft_about(order: dict[str, Any], conversation: ConversationView, request: Request) -> Draft:
    named = f"order {order['number']} ({order['article']})"
    if request.intent == "refund":
        reply = f"I have refunded {named}."
        return _make_draft(
            reply, request, "refund", order["total"], "the money arrives in a few days"
        )
    if request.intent == "cancel":
        return _make_draft(f"I have cancelled {named}.", request, "cancel", next_action="none")
    reply = f"Your {named} is {order['status']}. {conversation.outputs('track_parcel')[-1]}"
    return _make_draft(reply, request, next_action="none")


def _make_draft(
    reply: str, request: Request, action: Any = "none", amount: int = 0, next_action: str = ""
) -> Draft:
    return Draft(
        reply=reply, action=action, order=request.order, amount=amount, next_action=next_action
    )
