"""An app that says who asks, and who asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI

from turnwise.http import Authenticate, Principal


def app_for(authenticate: Authenticate) -> FastAPI:
    app = FastAPI()

    async def who(principal: Principal) -> dict[str, str | None]:
        return {"owner": principal.owner, "key": principal.key}

    who.__annotations__["principal"] = Annotated[Principal, Depends(authenticate)]
    app.get("/who")(who)
    return app


@asynccontextmanager
async def visitor(authenticate: Authenticate) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_for(authenticate))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def asked(client: httpx.AsyncClient, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await client.get("/who", headers=headers)
