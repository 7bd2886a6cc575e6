"""A customer's message through the whole desk, as one turn of the customer's session.

    front desk ──▶ planner ──▶ agent ──▶ policy ──▶ execute, verify ──▶ outcome, next action
    (classifies)   (tools)     (loop) ◀── fails ─┘

`python -m examples.support` holds a short conversation (`--chat`: with you). It answers by rule,
or with a real model if there is an OPENAI_API_KEY. `--url` names the store of the session.
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
from turnwise import Runner, connect, session_id
from turnwise.session import Session

ROUNDS = 3
"""So often may the agent draft an answer; then a colleague takes over."""

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


class Verdict(BaseModel):
    """What the reviewer thinks of a reply."""

    passes: bool
    complaint: str


# Execute and verify, once the policy lets a draft through.


def outcome_of(draft: Draft, shop: Shop) -> Outcome:
    """Do what the draft says, and look whether it was done."""
    shop.execute(draft.action, draft.order, draft.amount)
    if shop.verify(draft.action, draft.order, draft.amount):
        return Outcome(
            status="handed over" if draft.action == "hand over" else "solved",
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
    """The run ends with an outcome, or when too many drafts have failed."""
    for result in results:
        if result.tool.name == "resolve" and (outcome := _parsed(result.output)) is not None:
            return ToolsToFinalOutputResult(is_final_output=True, final_output=outcome)
    rejections = case_of(context).rejections
    if len(rejections) < ROUNDS:
        return ToolsToFinalOutputResult(is_final_output=False)
    handed_over = Outcome(
        status="handed over",
        reply="I would rather have a colleague answer this.",
        action="hand over",
        verified=True,
        next_action=f"a colleague answers in a day (policy: {rejections[-1]})",
    )
    return ToolsToFinalOutputResult(is_final_output=True, final_output=handed_over)


def _parsed(output: object) -> Outcome | None:
    try:
        return Outcome.model_validate_json(str(output))
    except ValidationError:  # the policy's rejection
        return None


# The agent's tools: the planned ones, and the one that ends its work.


def planned(name: ToolName) -> Callable[[Context, AgentBase[Any]], bool]:
    """Offer a tool only if the plan selected it."""

    def is_planned(context: Context, _: AgentBase[Any]) -> bool:
        plan = case_of(context).plan
        return plan is None or name in plan.tools

    return is_planned


def tools(shop: Shop, guardrail: ToolInputGuardrail[Any]) -> list[FunctionTool]:
    @function_tool(is_enabled=planned("find_order"))
    def find_order(order: str) -> str:
        """Article, status, total in cents and more of an order; null if there is none."""
        found = shop.find(order)
        return json.dumps(found and asdict(found))

    @function_tool(is_enabled=planned("track_parcel"))
    def track_parcel(order: str) -> str:
        """Where the parcel of an order is."""
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
        return outcome_of(draft, shop).model_dump_json()

    return [find_order, track_parcel, read_policy, resolve]


def guardrail(shop: Shop, reviewer: Agent[Any]) -> ToolInputGuardrail[Any]:
    """The policy: rules first, then the reviewer, whose run is part of the same turn."""

    async def complaint(draft: Draft) -> str | None:
        if (broken := policy.broken_rule(draft, shop)) is not None:
            return broken
        verdict = (await Runner.run(reviewer, draft.reply)).final_output_as(Verdict)
        return None if verdict.passes else verdict.complaint

    async def check(data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
        with guardrail_span("policy") as span:
            found = await complaint(Draft.model_validate_json(data.context.tool_arguments))
            span.span_data.triggered = found is not None
        if found is None:
            return ToolGuardrailFunctionOutput.allow()
        case_of(data.context).rejections.append(found)
        return ToolGuardrailFunctionOutput.reject_content(
            f"Not sent: {found}. Mend the answer and call resolve again."
        )

    return ToolInputGuardrail(check, name="policy")


# The desk.


def build(shop: Shop) -> dict[str, Agent[Any]]:
    """The desk's agents by name; a customer's message goes to "support"."""
    reviewer = Agent[Any](
        name="reviewer",
        instructions="You review a shop's reply to a customer: it passes if it is polite.",
        output_type=Verdict,
        model=model(rules.review),
    )
    agent = Agent[Any](
        name="agent",
        instructions="You are a customer support agent. Refer to earlier messages where they "
        "matter. Use your tools, then call resolve with your answer. If it is sent back, mend "
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
        instructions="Plan how to solve the request: the steps, and the fewest tools that do. "
        "find_order tells an order's state, track_parcel where a parcel is, read_policy what the "
        "shop allows. Hand the plan over.",
        handoffs=[
            handoff(
                agent,
                tool_name_override="transfer_to_agent",
                input_type=Plan,
                on_handoff=_note_plan,
            )
        ],
        model_settings=MUST_CALL,
        model=model(rules.plan),
    )
    front_desk = Agent[Any](
        name="support",
        instructions="Classify the customer's last message, and hand it over. Take the order's "
        "number from earlier messages if the last one has none.",
        handoffs=[
            handoff(
                planner,
                tool_name_override="transfer_to_planner",
                input_type=Request,
                on_handoff=_note_request,
            )
        ],
        model_settings=MUST_CALL,
        model=model(rules.classify),
    )
    return {known.name: known for known in (front_desk, planner, agent, reviewer)}


def _note_request(context: Context, request: Request) -> None:
    case_of(context).request = request


def _note_plan(context: Context, plan: Plan) -> None:
    case_of(context).plan = plan


agents = build(Shop())


async def handle(
    session: Session, customer: str, message: str, desk: dict[str, Agent[Any]] = agents
) -> tuple[Case, Outcome]:
    """One message of a customer: one turn of the customer's session."""
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
        print(f"  sent back  {number}: {complaint}")
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
    """Count traces; without a key there is nobody else to send them to."""
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
    customer = session_id(options.user, options.conversation)
    async with connect(options.url, hooks=(metrics,)) as session:
        await converse(session, customer, options.chat)
    print(f"\n{metrics.summary()}")


if __name__ == "__main__":
    asyncio.run(main())
