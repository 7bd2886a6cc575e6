"""A fork waits for what is inside the barrier, whatever strikes it meanwhile."""

from __future__ import annotations

import threading

import pytest

from turnwise.process import ForkBarrier


def test_ctrl_c_while_a_fork_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python goes on with a fork whose hooks raise: it would find the barrier half closed."""
    barrier, leave, events = ForkBarrier(), threading.Event(), list[str]()
    inside = threading.Event()

    def job() -> None:
        with barrier:
            inside.set()
            leave.wait()
            events.append("left")

    thread = threading.Thread(target=job)
    thread.start()
    inside.wait()
    wait = barrier._changed.wait

    def interrupted() -> bool:
        if not leave.is_set():
            leave.set()
            raise KeyboardInterrupt
        return wait()

    monkeypatch.setattr(barrier._changed, "wait", interrupted)
    barrier.before_fork()
    events.append("forked")
    barrier.after_fork()
    thread.join()
    assert events == ["left", "forked"]
    with barrier:
        pass
    assert barrier.forks == 0
