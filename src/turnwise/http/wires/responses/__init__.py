"""OpenAI's Responses and Conversations APIs over agents."""

from turnwise.http.wires.responses.routes import router

__all__ = ["router"]
