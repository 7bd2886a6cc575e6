"""The editor of an `apply_patch` tool, which answers from the journal first."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import partial
from types import FrameType
from typing import Any

from agents.editor import ApplyPatchOperation, ApplyPatchResult

from turnwise.durable import sdk
from turnwise.durable.calls import UNKNOWN, called
from turnwise.durable.context import Run, here
from turnwise.durable.digests import input_digest
from turnwise.durable.proxy import ObjectProxy
from turnwise.errors import TurnwiseError

_FIELDS = ("type", "path", "diff", "move_to")


class DurableEditor(ObjectProxy):
    """Each operation is one call in the journal. Everything else is the editor's own."""

    __slots__ = ()

    def create_file(self, operation: ApplyPatchOperation) -> Any:
        return self._edited(self._turnwise_original.create_file, operation, sys._getframe(1))

    def update_file(self, operation: ApplyPatchOperation) -> Any:
        return self._edited(self._turnwise_original.update_file, operation, sys._getframe(1))

    def delete_file(self, operation: ApplyPatchOperation) -> Any:
        return self._edited(self._turnwise_original.delete_file, operation, sys._getframe(1))

    def _edited(self, edit: Any, operation: ApplyPatchOperation, caller: FrameType) -> Any:
        place = here()
        if not isinstance(place, Run) or not sdk.is_tool_execution(caller):
            return edit(operation)
        return self._called(place, _name(place, operation), partial(edit, operation))

    async def _called(self, run: Run, name: str, edit: Any) -> Any:
        async def outcome() -> Any:
            result = edit()
            return _plain(await result if inspect.isawaitable(result) else result)

        unknown = {"status": "failed", "output": UNKNOWN}
        try:
            return await called(run, self._turnwise_context, name, outcome, unknown=unknown)
        except TurnwiseError as error:
            run.failure = error  # the SDK makes a text for the model of it, whatever it is
            raise


def _name(run: Run, operation: ApplyPatchOperation) -> str:
    """The id of the call that asked for this operation, as an editor is not told it."""
    fields = [getattr(operation, field) for field in _FIELDS]
    occurrence = run.occurrence(input_digest(fields))
    ids = [
        item["call_id"]
        for item in run.output
        if item.get("type") == "apply_patch_call" and _asks_for(item, fields)
    ]
    if occurrence < len(ids):
        return str(ids[occurrence])
    # The run was resumed, or its model gives calls in another form.
    return f"{input_digest(fields)}.{occurrence}"


def _asks_for(item: Mapping[str, Any], fields: list[Any]) -> bool:
    operation = item.get("operation") or {}
    return [operation.get(field) for field in _FIELDS] == fields


def _plain(result: Any) -> Any:
    """What the SDK takes as well, of JSON's types."""
    if isinstance(result, ApplyPatchResult):
        return {"status": result.status, "output": result.output}
    if isinstance(result, Mapping):
        output = result.get("output")
        return {
            "status": result.get("status"),
            "output": None if output is None else str(output),
        }
    return result if result is None or isinstance(result, str) else str(result)
