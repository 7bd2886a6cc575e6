"""TURNWISE_TEST_UVLOOP=1 runs every test on uvloop, which has to be installed."""

from __future__ import annotations

import asyncio
import os

if os.environ.get("TURNWISE_TEST_UVLOOP"):
    import uvloop  # type: ignore[import-not-found]  # it is in no group: it builds on few systems

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
