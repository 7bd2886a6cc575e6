"""The server: messages and their answers over HTTP, in the dialects that clients speak."""

from turnwise.http.api_keys import by_api_key
from turnwise.http.app import create_app
from turnwise.http.gateway import Gateway
from turnwise.http.history_pages import HistoryPage
from turnwise.http.jwt import by_jwt
from turnwise.http.principals import Authenticate, Principal, nobody
from turnwise.http.problems import ServerStopping
from turnwise.http.quotas import Quota, Quotas, limited
from turnwise.http.webhook import Webhook

__all__ = [
    "Authenticate",
    "Gateway",
    "HistoryPage",
    "Principal",
    "Quota",
    "Quotas",
    "ServerStopping",
    "Webhook",
    "by_api_key",
    "by_jwt",
    "create_app",
    "limited",
    "nobody",
]
