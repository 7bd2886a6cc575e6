"""Messages over HTTP: a client of a wire sends one, and says what it holds in the end."""

from __future__ import annotations

import random
from abc import abstractmethod
from typing import Any, ClassVar

from chaos import script
from chaos.clients import WIRES, Ask, Site, Unknown
from chaos.clients.site import check, other_owner, owner_of
from chaos.operation_context import OperationContext
from chaos.operations.kind import OperationKind
from chaos.operations.runs import PLANS
from chaos.protocol import Request


class HttpKind(OperationKind):
    """Executed by a client in the parent process, not by a worker: `ask`."""

    weight = 0.0

    @abstractmethod
    async def ask(self, site: Site, request: Request) -> dict[str, Any]:
        """Send it, and return what the client was told. Unknown, Failed: see there."""

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        raise NotImplementedError("no worker executes it")


class SendOverHttp(HttpKind):
    """A message over one wire."""

    turn_id_share = 1.0
    is_message = True

    def __init__(self, wire: str) -> None:
        self.name = f"http-{wire}"  # type: ignore[misc]  # one class for all wires
        self._reader = WIRES[wire]

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return {"plan": rng.choice(PLANS)}

    async def ask(self, site: Site, request: Request) -> dict[str, Any]:
        text = script.question(request.op, request.params["plan"])
        message = Ask(owner_of(request.session), request.session, request.turn_id or "", text)
        told = await self._reader(site, message)
        return {"text": told.text, "streamed": told.streamed}


class CancelOverHttp(HttpKind):
    """Cancel the turn that `params` name. Invoked along with a turn, never generated alone."""

    name = "http-cancel"
    is_turn = False
    is_cancel = True
    takes_turn_id = False
    turn_id_share = 0.0

    async def ask(self, site: Site, request: Request) -> dict[str, Any]:
        response = await site.http.post(
            f"/chat/{request.session}/cancel",
            json={"turn_id": request.params["turn_id"]},
            headers=site.headers(owner_of(request.session)),
        )
        if response.status_code == 404:
            return {"outcome": "absent", "items": 0}
        if not await check(response):
            raise Unknown(f"Status{response.status_code}")
        return {"outcome": response.json()["outcome"], "items": 0}


class Peek(HttpKind):
    """Somebody else asks for a turn: for them there is none. Invoked along with a turn."""

    name: ClassVar[str] = "http-peek"
    is_turn = False
    takes_turn_id = False
    turn_id_share = 0.0

    async def ask(self, site: Site, request: Request) -> dict[str, Any]:
        response = await site.http.get(
            f"/chat/{request.session}/turns/{request.params['turn_id']}",
            headers=site.headers(other_owner(request.session)),
        )
        if response.status_code != 404 and not await check(response):
            raise Unknown(f"Status{response.status_code}")
        return {"status": response.status_code}


HTTP_KINDS: tuple[HttpKind, ...] = (*map(SendOverHttp, WIRES), CancelOverHttp(), Peek())
SENT_OVER_HTTP = tuple(f"http-{wire}" for wire in WIRES)
