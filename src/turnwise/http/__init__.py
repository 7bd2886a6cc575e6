"""The server: messages and their answers over HTTP, in the dialects that clients speak."""

from turnwise.http.app import create_app
from turnwise.http.gateway import Gateway, HistoryPage
from turnwise.http.principals import Authenticate, Principal, nobody

__all__ = ["Authenticate", "Gateway", "HistoryPage", "Principal", "create_app", "nobody"]
