"""Pages for operators: `dashboard(session, ...)` is an ASGI app. It needs `turnwise[dashboard]`."""

from turnwise.dashboard.app import dashboard
from turnwise.dashboard.authentication import Authenticate

__all__ = ["Authenticate", "dashboard"]
