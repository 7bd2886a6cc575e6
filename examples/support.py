"""A support desk: each customer message is one turn of the customer's session.

    triage ──▶ planner ──▶ agent ──▶ policy ──▶ execute, verify ──▶ outcome, next action
    (intent)   (tools)     (loop) ◀─ rejects ─┘

`python -m examples.support` replays a short conversation; with `--chat` you are the customer. It
uses a real model if OPENAI_API_KEY is set, else rules. `--url` names the store of the session.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict
from typing import Any

from agents import (
    Agent,
    AgentBase,
    FunctionTool,
    FunctionToolResult,
    ModelSettings,
    RunContextWrapper,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolInputGuardrailData,
    ToolsToFinalOutputResult,
    add_trace_processor,
    function_tool,
    guardrail_span,
    handoff,
    set_trace_processors,
    trace,
)
from pydantic import BaseModel, ValidationError

from examples.desk import policy, rules
from examples.desk.case import Case, Draft, Outcome, Plan, Request, ToolName, case_of
from examples.desk.metrics import Metrics
from examples.desk.shop import Action, Shop
from examples.offline import model
from turnwise import Runner, connect, make_session_id
from turnwise.session import Session

MAX_DRAFTS = 3
"""After so many rejected drafts, the agent escalates to a colleague."""

CONVERSATION = (
    "Hello, where is my parcel A-1003?",
    "I insist that you guarantee when it will arrive!",
    "The kettle of order A-1001 arrived broken. Will I have my money back today?",
    "And I want to return the bicycle, A-1002, for a refund.",
    "CANCEL MY ORDER A-1004!",
    "Please refund A-1005 too.",
)

Context = RunContextWrapper[Any]
MUST_CALL = ModelSettings(tool_choice="required", parallel_tool_calls=False)


class Review(BaseModel):
    """The reviewer's result for a reply."""

    passes: bool
    complaint: str


# Execute and verify a draft that the policy has accepted.


def execute(draft: Draft, shop: Shop) -> Outcome:
    """Take the draft's action, and verify its effect."""
    shop.execute(draft.action, draft.order, draft.amount)
    if shop.verify(draft.action, draft.order, draft.amount):
        return Outcome(
            status="escalated" if draft.action == "escalate" else "resolved",
            reply=draft.reply,
            action=draft.action,
            verified=True,
            next_action=draft.next_action,
        )
    return Outcome(
        status="failed",
        reply=f"I could not {draft.action} order {draft.order}. A colleague will see to it.",
        action=draft.action,
        verified=False,
        next_action=f"a colleague finds out why the {draft.action} failed",
    )


def stop_when_resolved(
    context: Context, results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    """End the run with an outcome, or after too many rejected drafts."""
    for result in results:
        if result.tool.name == "resolve" and (outcome := _parsed(result.output)) is not None:
            return ToolsToFinalOutputResult(is_final_output=True, final_output=outcome)
    rejections = case_of(context).rejections
    if len(rejections) < MAX_DRAFTS:
        return ToolsToFinalOutputResult(is_final_output=False)
    escalated = Outcome(
        status="escalated",
        reply="I would rather have a colleague answer this.",
        action="escalate",
        verified=True,
        next_action=f"a colleague answers in a day (policy: {rejections[-1]})",
    )
    return ToolsToFinalOutputResult(is_final_output=True, final_output=escalated)


def _parsed(output: object) -> Outcome | None:
    try:
        return Outcome.model_validate_json(str(output))
    except ValidationError:  # the policy has rejected it
        return None


# The agent's tools: those of the plan, and `resolve`.


def planned(name: ToolName) -> Callable[[Context, AgentBase[Any]], bool]:
    """Offer a tool only if the plan selected it."""

    def is_planned(context: Context, _: AgentBase[Any]) -> bool:
        plan = case_of(context).plan
        return plan is None or name in plan.tools

    return is_planned


def tools(shop: Shop, guardrail: ToolInputGuardrail[Any]) -> list[FunctionTool]:
    @function_tool(is_enabled=planned("find_order"))
    def find_order(order: str) -> str:
        """The order with its article, status and total in cents; null if there is none."""
        found = shop.find(order)
        return json.dumps(found and asdict(found))

    @function_tool(is_enabled=planned("track_parcel"))
    def track_parcel(order: str) -> str:
        """Where an order's parcel is."""
        found = shop.find(order)
        moving = found is not None and found.status == "on its way"
        return "The parcel is with the carrier." if moving else "No parcel is on its way."

    @function_tool(is_enabled=planned("read_policy"))
    def read_policy(topic: str) -> str:
        """The shop's policy on "refund", "cancel" or "delivery"."""
        return policy.TEXTS.get(topic, policy.TEXTS["delivery"])

    @function_tool(tool_input_guardrails=[guardrail])
    def resolve(reply: str, action: Action, order: str, amount: int, next_action: str) -> str:
        """Answer the customer and act. `amount` of a refund in cents; what happens next."""
        draft = Draft(
            reply=reply, action=action, order=order, amount=amount, next_action=next_action
        )
        return execute(draft, shop).model_dump_json()

    return [find_order, track_parcel, read_policy, resolve]


def guardrail(shop: Shop, reviewer: Agent[Any]) -> ToolInputGuardrail[Any]:
    """The policy check: rules first, then the reviewer, whose run is part of the same turn."""

    async def complaint(draft: Draft) -> str | None:
        if (violation := policy.violation(draft, shop)) is not None:
            return violation
        review = (await Runner.run(reviewer, draft.reply)).final_output_as(Review)
        return None if review.passes else review.complaint

    async def check(data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
        with guardrail_span("policy") as span:
            found = await complaint(Draft.model_validate_json(data.context.tool_arguments))
            span.span_data.triggered = found is not None
        if found is None:
            return ToolGuardrailFunctionOutput.allow()
        case_of(data.context).rejections.append(found)
        return ToolGuardrailFunctionOutput.reject_content(
            f"Rejected: {found}. Fix the answer and call resolve again."
        )

    return ToolInputGuardrail(check, name="policy")


# The desk.


def build(shop: Shop) -> dict[str, Agent[Any]]:
    """The desk's agents by name; a customer's message goes to "support"."""
    reviewer = Agent[Any](
        name="reviewer",
        instructions="You review a shop's reply to a customer: it passes if it is polite.",
        output_type=Review,
        model=model(rules.review),
    )
    agent = Agent[Any](
        name="agent",
        instructions="You are a customer support agent. Refer to earlier messages where they "
        "matter. Use your tools, then call resolve with your answer. If it is rejected, fix "
        "what the message says and call resolve again.",
        tools=[*tools(shop, guardrail(shop, reviewer))],
        output_type=Outcome,
        tool_use_behavior=stop_when_resolved,
        model_settings=MUST_CALL,
        reset_tool_choice=False,  # an answer that is not a call would bypass the policy
        model=model(rules.work),
    )
    planner = Agent[Any](
        name="planner",
        instructions="Plan how to resolve the request: the steps, and as few tools as possible. "
        "find_order returns an order, track_parcel the place of a parcel, read_policy what the "
        "shop allows. Hand off to the agent with the plan.",
        handoffs=[
            handoff(
                agent,
                tool_name_override="transfer_to_agent",
                input_type=Plan,
                on_handoff=_save_plan,
            )
        ],
        model_settings=MUST_CALL,
        model=model(rules.plan),
    )
    triage = Agent[Any](
        name="support",
        instructions="Classify the customer's last message, and hand off to the planner. Take the "
        "order number from earlier messages if the last one has none.",
        handoffs=[
            handoff(
                planner,
                tool_name_override="transfer_to_planner",
                input_type=Request,
                on_handoff=_save_request,
            )
        ],
        model_settings=MUST_CALL,
        model=model(rules.classify),
    )
    return {each.name: each for each in (triage, planner, agent, reviewer)}


def _save_request(context: Context, request: Request) -> None:
    case_of(context).request = request


def _save_plan(context: Context, plan: Plan) -> None:
    case_of(context).plan = plan


agents = build(Shop())


async def handle(
    session: Session, customer: str, message: str, desk: dict[str, Agent[Any]] = agents
) -> tuple[Case, Outcome]:
    """Answer one message of a customer, as one turn of the customer's session."""
    case = Case()
    with trace("support", group_id=customer):
        result = await Runner.run(
            desk["support"], message, session=session, session_id=customer, context=case
        )
    return case, result.final_output_as(Outcome)


# The program.


def show(message: str, case: Case, outcome: Outcome) -> None:
    request, plan = case.request, case.plan
    print(f"\ncustomer     {message}")
    if request is not None:
        print(f"  intent     {request.intent}, order {request.order or 'unknown'}")
    if plan is not None:
        print(f"  plan       {'; '.join(plan.steps)}")
        print(f"  tools      {', '.join(plan.tools) or 'none'}")
    for number, complaint in enumerate(case.rejections, 1):
        print(f"  rejected   {number}: {complaint}")
    verified = "verified" if outcome.verified else "NOT verified"
    print(f"  outcome    {outcome.status}; action: {outcome.action}, {verified}")
    print(f"  next       {outcome.next_action}")
    print(f"support      {outcome.reply}")


async def converse(session: Session, customer: str, chat: bool) -> None:
    async for message in _typed() if chat else _scripted():
        show(message, *await handle(session, customer, message))
    items = await session.bind(customer).get_items()
    print(f"\nThe session {customer} holds {len(items)} items.")


async def _scripted() -> AsyncIterator[str]:
    for message in CONVERSATION:
        yield message


async def _typed() -> AsyncIterator[str]:
    while True:
        print("\nyou> ", end="", flush=True)
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            return
        if line.strip():
            yield line.strip()


def install(metrics: Metrics) -> None:
    """Count traces. Without an API key, do not also send them to OpenAI."""
    if os.environ.get("OPENAI_API_KEY"):
        add_trace_processor(metrics)
    else:
        set_trace_processors([metrics])


async def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.support", description=__doc__)
    parser.add_argument("--url", default="memory://", help="such as redis://localhost:6379/0")
    parser.add_argument("--user", default="usr_1")
    parser.add_argument("--conversation", default="conv_1")
    parser.add_argument("--chat", action="store_true", help="read messages from the terminal")
    options = parser.parse_args(None if arguments is None else list(arguments))
    metrics = Metrics()
    install(metrics)
    customer = make_session_id(options.user, options.conversation)
    async with connect(options.url, hooks=(metrics,)) as session:
        await converse(session, customer, options.chat)
    print(f"\n{metrics.summary()}")


if __name__ == "__main__":
    asyncio.run(main())
