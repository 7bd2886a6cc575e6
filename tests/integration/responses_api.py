"""A stand-in for the Responses API over HTTP, for programs that are given an API key.

It answers as the desk's rules do, told apart by the tools they are offered, and refuses what the
API refuses: a missing key, a schema that is not strict, a call without its output.
"""

from typing import Annotated, Any

from agents import ModelSettings, ModelTracing
from fastapi import FastAPI, Header, HTTPException, Request
from openai.types.responses import Response

from examples.desk import rules
from examples.offline import OfflineModel, Rule

KEY = "test-key"
app = FastAPI()

RULES: dict[str, Rule] = {
    "transfer_to_planner": rules.classify,
    "transfer_to_agent": rules.plan,
    "resolve": rules.work,
}


@app.get("/health")
async def health() -> None:
    """Answers when the server does."""


@app.post("/v1/responses")
async def respond(request: Request, authorization: Annotated[str, Header()]) -> Any:
    body = await request.json()
    tools: list[dict[str, Any]] = body.get("tools") or []
    items: list[Any] = body["input"]
    _check(authorization == f"Bearer {KEY}", "the key is wrong")
    _check(all(map(_is_strict, tools)), "a schema is not strict")
    _check(_ids(items, "function_call") == _ids(items, "function_call_output"), "half a pair")
    rule = next((RULES[tool["name"]] for tool in tools if tool["name"] in RULES), rules.review)
    _check((rule is rules.review) == ("text" in body and not tools), "no schema for the output")
    answer = await OfflineModel(rule).get_response(
        None, items, ModelSettings(), [], None, [], ModelTracing.DISABLED
    )
    return Response(
        id="resp_1",
        created_at=0,
        model="stand-in",
        object="response",
        output=answer.output,
        parallel_tool_calls=False,
        tool_choice="auto",
        tools=[],
    ).model_dump(mode="json")


def _check(fine: bool, reason: str) -> None:
    if not fine:
        raise HTTPException(400, reason)


def _is_strict(tool: dict[str, Any]) -> bool:
    schema = tool["parameters"]
    all_required = set(schema.get("required", [])) == set(schema["properties"])
    return tool["strict"] and all_required and schema["additionalProperties"] is False


def _ids(items: list[Any], kind: str) -> set[str]:
    return {item["call_id"] for item in items if item.get("type") == kind}
