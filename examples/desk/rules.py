"""How the desk's agents talk where there is no real model: by keywords and by what tools say."""

import json
import re
from typing import Any

from examples.desk.case import Draft, Intent, Plan, Request, ToolName
from examples.offline import Call, Reading

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


def classify(reading: Reading) -> list[Call]:
    """The front desk: what is wanted, and about which order."""
    last = reading.said[-1]
    mentioned = [number for text in reading.said for number in _ORDER.findall(text)]
    request = Request(
        intent=_intent(last), order=mentioned[-1] if mentioned else "", summary=last[:80]
    )
    return [Call("transfer_to_planner", request.model_dump())]


def plan(reading: Reading) -> list[Call]:
    """The planner: which tools it takes."""
    request = _request(reading)
    tools = _TOOLS[request.intent]
    if not request.order:
        tools = [tool for tool in tools if tool == "read_policy"]
    steps = [*(f"use {tool}" for tool in tools), "answer within the policy"]
    return [Call("transfer_to_agent", Plan(steps=steps, tools=tools).model_dump())]


def work(reading: Reading) -> list[Call]:
    """The agent: the planned tools one after the other, then an answer, mended if sent back."""
    request = _request(reading)
    for tool in Plan(**reading.calls("transfer_to_agent")[-1]).tools:
        if not reading.calls(tool):
            return [Call(tool, _arguments(tool, request))]
    return [Call("resolve", _draft(reading, request).model_dump())]


def review(reading: Reading) -> str:
    """The reviewer of tone."""
    rude = re.search(r"calm down|obviously|not my problem", reading.said[-1], re.IGNORECASE)
    complaint = f"{rude.group()!r} is rude; say it kindly" if rude else ""
    return json.dumps({"passes": rude is None, "complaint": complaint})


def _intent(text: str) -> Intent:
    found = (name for name, words in _KEYWORDS.items() if re.search(words, text, re.IGNORECASE))
    return next(found, "question")


def _request(reading: Reading) -> Request:
    return Request(**reading.calls("transfer_to_planner")[-1])


def _arguments(tool: ToolName, request: Request) -> dict[str, Any]:
    if tool == "read_policy":
        known = request.intent in ("refund", "cancel")
        return {"topic": request.intent if known else "delivery"}
    return {"order": request.order}


def _draft(reading: Reading, request: Request) -> Draft:
    rejections = reading.outputs("resolve")
    message = reading.said[-1]
    if any("hand over" in rejection for rejection in rejections):
        reply = f"A colleague will look at order {request.order}, as our policy asks for."
        return _drafted(reply, request, "hand over", next_action="a colleague answers in a day")
    draft = _honest(reading, request)
    draft.reply = _temper(message, len(rejections)) + draft.reply
    return draft


def _temper(message: str, rejections: int) -> str:
    """What makes a draft fail: an angry customer's tone, and a wish for certainty."""
    if re.search(r"insist", message, re.IGNORECASE):
        return "I promise you whatever you like. "
    if rejections:
        return ""
    if message.isupper():
        return "Calm down. "
    return "I guarantee it. " if re.search(r"for certain|today", message, re.IGNORECASE) else ""


def _honest(reading: Reading, request: Request) -> Draft:
    if request.intent == "question":
        return _drafted(reading.outputs("read_policy")[-1], request, next_action="none")
    if not request.order:
        return _drafted("Which order is it about?", request, next_action="waits for its number")
    order = json.loads(reading.outputs("find_order")[-1])
    if order is None:
        reply = f"I cannot find an order {request.order}."
        return _drafted(reply, request, next_action="waits for another number")
    return _about(order, reading, request)


def _about(order: dict[str, Any], reading: Reading, request: Request) -> Draft:
    named = f"order {order['number']} ({order['article']})"
    if request.intent == "refund":
        reply = f"I have refunded {named}."
        return _drafted(reply, request, "refund", order["total"], "the money arrives in some days")
    if request.intent == "cancel":
        return _drafted(f"I have cancelled {named}.", request, "cancel", next_action="none")
    reply = f"Your {named} is {order['status']}. {reading.outputs('track_parcel')[-1]}"
    return _drafted(reply, request, next_action="none")


def _drafted(
    reply: str, request: Request, action: Any = "none", amount: int = 0, next_action: str = ""
) -> Draft:
    return Draft(
        reply=reply, action=action, order=request.order, amount=amount, next_action=next_action
    )
