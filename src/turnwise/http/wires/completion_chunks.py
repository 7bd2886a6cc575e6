"""A response as a chat completion, whole or in chunks: pure functions of the response's events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnwise.http.wires.responses.errors import OpenAIError

Chunk = dict[str, Any]
_BETWEEN = "\n\n"
"""What parts two messages of the agent."""
VOID = (
    "The worker that wrote this answer died, and another one writes it anew. Send the request "
    "again, with the same id, for the whole answer."
)


class CompletionEncoder:
    """From a response's events to chunks.

    A chunk cannot be taken back. If a worker dies while it writes, the text so far stands only if
    the next one writes the same; otherwise the stream ends with an error.

    Args:
        completion_id, created, model: What each chunk says.
        with_usage: Whether a chunk with the usage comes last.
    """

    def __init__(
        self, completion_id: str, created: int, model: str, *, with_usage: bool = False
    ) -> None:
        self._head = {"id": completion_id, "created": created, "model": model}
        self._with_usage = with_usage
        self._sent = ""
        self._true = ""
        self._texts: dict[int, str] = {}
        self._calls = 0

    def begin(self) -> Chunk:
        """The first chunk."""
        return self._chunk({"role": "assistant", "content": ""})

    def encode(self, wire: Mapping[str, Any]) -> list[Chunk]:
        """The chunks for one event.

        Raises:
            OpenAIError: The text that was sent is void; or the response failed.
        """
        kind = wire["type"]
        if kind == "response.output_text.delta":
            return self._said(wire["output_index"], wire["delta"])
        if kind == "response.output_item.done":
            return self._item_done(wire["output_index"], wire["item"])
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            return self._end(wire["response"])
        return []

    def _said(self, index: int, delta: str) -> list[Chunk]:
        if index not in self._texts:
            self._texts[index] = _BETWEEN if self._true else ""
        self._texts[index] += delta
        return self._send(self._true + self._texts[index])

    def _item_done(self, index: int, item: Mapping[str, Any]) -> list[Chunk]:
        text = self._texts.pop(index, "")
        if item.get("status") == "incomplete":  # it is void, and so is its text
            return []
        if item["type"] == "message":
            self._true += text
        if item["type"] == "function_call":
            return [self._call(item)]
        return []

    def _send(self, text: str) -> list[Chunk]:
        """Send what is new, if the text so far is what was sent."""
        if self._sent.startswith(text):
            return []
        if not text.startswith(self._sent):
            raise OpenAIError(500, VOID, kind="server_error", code="answer_void")
        new, self._sent = text[len(self._sent) :], text
        return [self._chunk({"content": new})]

    def _call(self, item: Mapping[str, Any]) -> Chunk:
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        self._calls += 1
        return self._chunk({"tool_calls": [{"index": self._calls - 1} | call]})

    def _end(self, response: Mapping[str, Any]) -> list[Chunk]:
        check_success(response)
        text = text_of(response)
        chunks = self._send(text)
        if self._sent != text:
            raise OpenAIError(500, VOID, kind="server_error", code="answer_void")
        chunks.append(self._chunk({}, finish_reason(response)))
        if self._with_usage:
            chunks.append(self._chunk(None) | {"usage": usage_of(response)})
        return chunks

    def _chunk(self, delta: Chunk | None, reason: str | None = None) -> Chunk:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        choices = [] if delta is None else [choice]
        return self._head | {"object": "chat.completion.chunk", "choices": choices}


def completion_of(
    completion_id: str, created: int, model: str, response: Mapping[str, Any]
) -> dict[str, Any]:
    """A response as a chat completion."""
    check_success(response)
    calls = [
        {
            "id": item["call_id"],
            "type": "function",
            "function": {"name": item["name"], "arguments": item["arguments"]},
        }
        for item in response["output"]
        if item["type"] == "function_call"
    ]
    text = text_of(response)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": None,
        "annotations": [],
    }
    if calls:
        message["tool_calls"] = calls
    reason = finish_reason(response)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage_of(response),
    }


def check_success(response: Mapping[str, Any]) -> None:
    """Raise the error of a response that failed or was cancelled."""
    if response["status"] == "cancelled":
        raise OpenAIError(500, "The turn was cancelled.", kind="server_error")
    if response["status"] == "failed":
        raise OpenAIError(500, response["error"]["message"], kind="server_error")


def text_of(response: Mapping[str, Any]) -> str:
    """All that the agent says; where it waits for approvals, that it does."""
    texts = [
        "".join(part.get("text") or part.get("refusal") or "" for part in item["content"])
        for item in response["output"]
        if item["type"] == "message"
    ]
    asked = [item for item in response["output"] if item["type"] == "mcp_approval_request"]
    if asked:
        named = ", ".join(f"{item['name']}({item['arguments']})" for item in asked)
        texts.append(f"This waits for approval: {named}.")
    return _BETWEEN.join(texts)


def finish_reason(response: Mapping[str, Any]) -> str:
    """Why it ends."""
    if any(item["type"] == "function_call" for item in response["output"]):
        return "tool_calls"
    details = response.get("incomplete_details") or {}
    return {"max_output_tokens": "length", "content_filter": "content_filter"}.get(
        details.get("reason", ""), "stop"
    )


def usage_of(response: Mapping[str, Any]) -> dict[str, Any]:
    """The usage by the names of this API."""
    usage = response["usage"]
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": usage["input_tokens_details"]["cached_tokens"]},
        "completion_tokens_details": {
            "reasoning_tokens": usage["output_tokens_details"]["reasoning_tokens"]
        },
    }
