"""What clients send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from turnwise.http.wires.responses.errors import invalid
from turnwise.http.wires.responses.ids import Mode

InputItem = dict[str, Any]
Metadata = Annotated[dict[str, str], Field(max_length=16)]
MAX_NEW_ITEMS = 20
"""The most items of one call of the Conversations API."""
_ROLES = ("user", "assistant", "system", "developer")
_REFUSED = ("prompt", "moderation")


class ConversationName(BaseModel):
    """A conversation, named in an object."""

    id: str


class CreateResponse(BaseModel):
    """The body of `POST /v1/responses`.

    What the agent itself decides (instructions, temperature, tools of the provider and so on) is
    accepted and echoed.
    """

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: str | list[InputItem] = Field(default_factory=list)
    background: bool | None = None
    conversation: str | ConversationName | None = None
    metadata: Metadata | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    text: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None

    @property
    def conversation_id(self) -> str | None:
        named = self.conversation
        return named.id if isinstance(named, ConversationName) else named or None

    @property
    def mode(self) -> Mode:
        """How the response is asked for."""
        said = (
            (Mode.BACKGROUND, bool(self.background)),
            (Mode.STREAM, bool(self.stream)),
            (Mode.STORE, self.store is not False),
            (Mode.CONVERSATION, self.conversation_id is not None),
        )
        mode = Mode.NONE
        for flag, holds in said:
            mode |= flag if holds else Mode.NONE
        return mode

    @property
    def items(self) -> list[InputItem]:
        """The input as items."""
        if isinstance(self.input, str):
            return [{"role": "user", "content": self.input}]
        return self.input

    @property
    def client_tools(self) -> list[dict[str, Any]]:
        """The functions that the client itself runs."""
        return [tool for tool in self.tools or () if tool.get("type") == "function"]

    def check(self) -> None:
        """Raise the error 400 for what is contradictory or not offered."""
        extra = self.model_extra or {}
        for name in _REFUSED:
            if extra.get(name) is not None:
                raise invalid(f"'{name}' is not supported by this server.", name)
        if self.background and self.store is False:
            raise invalid("background=true requires store=true.", "background")
        if self.conversation_id is not None and self.previous_response_id:
            raise invalid(
                "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure "
                "you are only providing one of them.",
                code="mutually_exclusive_parameters",
            )
        check_items(self.items, "input")
        for place, tool in enumerate(self.client_tools):
            if not isinstance(tool.get("name"), str) or not tool["name"]:
                name = f"tools[{place}].name"
                raise invalid(f"Missing required parameter: '{name}'.", name)


class NewConversation(BaseModel):
    """The body of `POST /v1/conversations`."""

    items: list[InputItem] | None = Field(default=None, max_length=MAX_NEW_ITEMS)
    metadata: Metadata | None = None


class ConversationUpdate(BaseModel):
    """The body of `POST /v1/conversations/{id}`."""

    metadata: Metadata | None = None


class NewItems(BaseModel):
    """The body of `POST /v1/conversations/{id}/items`."""

    items: list[InputItem] = Field(max_length=MAX_NEW_ITEMS)

    @field_validator("items")
    @classmethod
    def _some(cls, items: list[InputItem]) -> list[InputItem]:
        if not items:
            raise ValueError("at least one item is needed")
        return items


def check_items(items: list[InputItem], param: str) -> None:
    """Raise the error 400 for what can be no item of a conversation."""
    for place, item in enumerate(items):
        kind = item.get("type", "message")
        where = f"{param}[{place}]"
        if not isinstance(kind, str):
            raise invalid(f"Invalid type for '{where}.type'.", f"{where}.type", "invalid_type")
        if kind == "item_reference":
            raise invalid("Items cannot be referred to: send them whole.", where)
        if kind == "message":
            _check_message(item, where)


def _check_message(item: Mapping[str, Any], where: str) -> None:
    if item.get("role") not in _ROLES:
        roles = ", ".join(f"'{role}'" for role in _ROLES)
        name = f"{where}.role"
        raise invalid(f"Invalid value for '{name}': use one of {roles}.", name, "invalid_value")
    content = item.get("content")
    is_parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
    if not isinstance(content, str) and not is_parts:
        name = f"{where}.content"
        raise invalid(f"Invalid type for '{name}'.", name, "invalid_type")
