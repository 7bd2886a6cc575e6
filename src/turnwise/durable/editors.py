"""Editors of `apply_patch` tools. Each operation is a tool call in the journal: none runs twice."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import partial
from types import FrameType
from typing import Any

from agents.editor import ApplyPatchOperation, ApplyPatchResult

from turnwise.durable import sdk
from turnwise.durable.calls import OUTCOME_UNKNOWN, call_tool
from turnwise.durable.context import Run, current_run
from turnwise.durable.digests import input_digest
from turnwise.durable.proxy import ObjectProxy
from turnwise.errors import TurnwiseError

_FIELDS = ("type", "path", "diff", "move_to")


class DurableEditor(ObjectProxy):
    """An editor whose operations are journaled. Everything else is the original's."""

    __slots__ = ()

    def create_file(self, operation: ApplyPatchOperation) -> Any:
        return self._edit(self._turnwise_original.create_file, operation, sys._getframe(1))

    def update_file(self, operation: ApplyPatchOperation) -> Any:
        return self._edit(self._turnwise_original.update_file, operation, sys._getframe(1))

    def delete_file(self, operation: ApplyPatchOperation) -> Any:
        return self._edit(self._turnwise_original.delete_file, operation, sys._getframe(1))

    def _edit(self, edit: Any, operation: ApplyPatchOperation, caller: FrameType) -> Any:
        run = current_run()
        if run is None or not sdk.is_tool_execution(caller):
            return edit(operation)
        return self._call(run, _call_id(run, operation), partial(edit, operation))

    async def _call(self, run: Run, call_id: str, edit: Any) -> Any:
        async def execute() -> Any:
            result = edit()
            return _plain(await result if inspect.isawaitable(result) else result)

        unknown = {"status": "failed", "output": OUTCOME_UNKNOWN}
        try:
            return await call_tool(run, self._turnwise_context, call_id, execute, unknown=unknown)
        except TurnwiseError as error:
            run.failure = error  # the SDK makes a text for the model of any exception here
            raise


def _call_id(run: Run, operation: ApplyPatchOperation) -> str:
    """The id of the call for this operation. The SDK does not tell it to an editor."""
    fields = [getattr(operation, field) for field in _FIELDS]
    occurrence = run.occurrence(input_digest(fields))
    ids = [
        item["call_id"]
        for item in run.output
        if item.get("type") == "apply_patch_call" and _is_for(item, fields)
    ]
    if occurrence < len(ids):
        return str(ids[occurrence])
    # The run was resumed, or its model gives calls in another form.
    return f"{input_digest(fields)}.{occurrence}"


def _is_for(item: Mapping[str, Any], fields: list[Any]) -> bool:
    operation = item.get("operation") or {}
    return [operation.get(field) for field in _FIELDS] == fields


def _plain(result: Any) -> Any:
    """The editor's result in JSON types. The SDK takes that as well."""
    if isinstance(result, ApplyPatchResult):
        return {"status": result.status, "output": result.output}
    if isinstance(result, Mapping):
        output = result.get("output")
        return {
            "status": result.get("status"),
            "output": None if output is None else str(output),
        }
    return result if result is None or isinstance(result, str) else str(result)
