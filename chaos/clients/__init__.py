"""Clients of each wire. Each goes on asking until it is told how its message ended."""

from chaos.clients.ag_ui import ask_ag_ui
from chaos.clients.chat import ask_chat, follow_chat
from chaos.clients.openai import (
    ask_completions,
    ask_responses,
    follow_completions,
    follow_responses,
)
from chaos.clients.site import Ask, Failed, Reader, Site, Told, Unknown
from chaos.clients.vercel import follow_vercel

WIRES: dict[str, Reader] = {
    "chat": ask_chat,
    "chat-stream": follow_chat,
    "responses": ask_responses,
    "responses-stream": follow_responses,
    "vercel": follow_vercel,
    "ag-ui": ask_ag_ui,
    "completions": ask_completions,
    "completions-stream": follow_completions,
}
"""By name: sends a message, and says what the client holds in the end."""

__all__ = ["WIRES", "Ask", "Failed", "Reader", "Site", "Told", "Unknown"]
