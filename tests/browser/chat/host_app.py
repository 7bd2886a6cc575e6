"""Somebody's app with the chat page in it, at two paths: `uvicorn tests.browser.chat.host_app:app`.

At /assistant the whole app is mounted. At /help are the routes of the page and of its wire.
"""

from __future__ import annotations

import os

from fastapi import FastAPI

from tests.browser.chat.page_agents import agents
from turnwise import Worker, connect
from turnwise.http import Gateway, create_app, nobody, page
from turnwise.http.wires import chat

session = connect(os.environ["TURNWISE_URL"])
assistant = create_app(session, agents, worker=Worker(session, agents))
app = FastAPI(lifespan=assistant.router.lifespan_context)
app.mount("/assistant", assistant)
app.include_router(chat.router(Gateway(session, agents), nobody), prefix="/help")
app.include_router(page.router(), prefix="/help")


@app.get("/readyz")
async def readyz() -> None:
    """It answers."""
