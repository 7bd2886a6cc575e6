"""Hands out the turns, kills workers in mid-turn, and sends again what they had not finished."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any

from demo.board import AT_ONCE, Board
from demo.ledger import Found
from demo.process import BEGUN, SENT_AGAIN, WorkerProcess
from demo.recording import MODEL, Recording
from demo.replay import Replay
from demo.setup import Setup
from demo.strikes import Strike, Strikes

_TRIES = 10  # a slow disk may cost a lease or two


class DemoFailed(Exception):
    """Something happened that must not; the text says what."""


class Conductor:
    """Knows who has which turn, and nothing of what is said in it."""

    def __init__(
        self, recording: Recording, setup: Setup, board: Board, *, kills: int, seed: int
    ) -> None:
        self._setup = setup
        self._board = board
        self._replays = {each.id: Replay(each) for each in recording.conversations}
        self._waiting = deque(self._replays.values())
        random.Random(seed).shuffle(self._waiting)
        self._strikes = Strikes(board.turns, kills)
        self._struck: dict[str, Strike] = {}
        self._inbox: asyncio.Queue[tuple[WorkerProcess, dict[str, Any] | None]] = asyncio.Queue()
        self._readers: list[asyncio.Task[None]] = []

    async def run(self, workers: int) -> None:
        """Serve every turn of every conversation, and end all workers. Raises DemoFailed."""
        try:
            for _ in range(workers):
                await self._start_worker()
            while self._board.finished < self._board.conversations:
                await self._next_message()
            if not self._strikes.are_over:
                raise DemoFailed("there were too few turns to kill that many workers in one")
        finally:
            self._board.stop_clock()
            await asyncio.gather(*(worker.end() for worker in self._board.workers))
            await asyncio.gather(*self._readers)

    async def _start_worker(self, why: str = "") -> None:
        self._board.processes += 1
        worker = await WorkerProcess.start(f"worker-{self._board.processes}", self._setup)
        self._board.workers.append(worker)
        self._board.log(f"{worker} started{why}")
        self._readers.append(asyncio.create_task(self._read(worker)))

    async def _read(self, worker: WorkerProcess) -> None:
        try:
            async for message in worker.messages():
                self._inbox.put_nowait((worker, message))
        finally:
            self._inbox.put_nowait((worker, None))

    async def _next_message(self) -> None:
        worker, message = await self._inbox.get()
        if message is not None:
            self._heard(worker, message)
        else:
            why = f" instead; {len(worker.turns)} turns of {worker.name} are sent again"
            await self._ended(worker)
            await self._start_worker(why)
        self._hand_out()

    # Handing out.

    def _hand_out(self) -> None:
        """Give each waiting conversation's next turn to another process than its last turn's."""
        for _ in range(len(self._waiting)):
            replay = self._waiting.popleft()
            worker = self._free_worker(replay)
            if worker is None:
                self._waiting.append(replay)
            else:
                hold = self._strikes.aim(replay.turn, self._board.served)
                worker.order(replay.turn.id, again=bool(replay.sent_to), hold=hold)
                replay.sent_to.append(worker)

    def _free_worker(self, replay: Replay) -> WorkerProcess | None:
        free = [
            worker
            for worker in self._board.workers
            if worker.ready and len(worker.turns) < AT_ONCE and worker is not replay.served_by
        ]
        return min(free, key=lambda worker: len(worker.turns), default=None)

    # Listening.

    def _heard(self, worker: WorkerProcess, message: dict[str, Any]) -> None:
        turn = message["turn"]
        match message["what"]:
            case "ready":
                worker.ready = True
            case "begun":
                self._begun(worker, turn, message["attempt"], message["journal"])
            case "call":
                self._called(worker, turn, message["of"], message["place"])
            case "return":
                self._board.ledger.returned(turn, message["place"])
            case "served":
                self._served(worker, turn)
            case "lost":
                self._board.log(f"{worker} could not commit {turn}: {message['reason']}")
                self._send_again(worker, turn, message["reason"])
            case "failed":
                raise DemoFailed(f"{worker} failed in {turn}:\n{message['reason']}")

    def _begun(self, worker: WorkerProcess, turn: str, attempt: int, journal: int) -> None:
        worker.turns[turn] = BEGUN
        if attempt > 1:
            self._board.taken_over += 1
            found = self._board.ledger.taken_over(turn, journal)
            strike = self._struck.pop(turn, None)
            if strike is not None and strike.is_in_tool and found.cut_off == strike.call.callee:
                self._board.tools_taken_over += found.has_start
            self._board.log(f"{worker.name} took over {turn}: {_told(found)}")

    def _called(self, worker: WorkerProcess, turn: str, callee: str, place: int) -> None:
        self._board.ledger.called(turn, place)
        doing = worker.turns[turn]
        worker.turns[turn] = callee if callee != MODEL else _model_after(doing)
        strike = self._strikes.struck(turn, place)
        if strike is not None:
            self._kill(worker, strike)

    def _served(self, worker: WorkerProcess, turn: str) -> None:
        """If it did not begin there, the worker that it was sent to before had committed it."""
        if worker.turns.pop(turn) == SENT_AGAIN:
            self._board.known += 1
            self._board.log(f"{turn} had been committed already; {worker} was told so")
            worker = self._replay(turn).sent_to[-2]
        self._advance(turn, worker)

    def _advance(self, turn: str, worker: WorkerProcess) -> None:
        replay = self._replay(turn)
        self._board.handovers += replay.served_by not in (None, worker)
        self._board.served += 1
        worker.served += 1
        replay.advance(worker)
        if replay.finished:
            self._board.finished += 1
        else:
            self._waiting.append(replay)

    # Killing.

    def _kill(self, worker: WorkerProcess, strike: Strike) -> None:
        """This call is under way there: it has told of it, and holds it."""
        self._struck[strike.turn] = strike
        self._board.kills_in_tool += strike.is_in_tool
        self._board.kills_in_model += not strike.is_in_tool
        where = f"mid-tool, {strike.call.callee} of" if strike.is_in_tool else "a model call of"
        others = len(worker.turns) - 1
        self._board.log(f"KILLED {worker} in {where} {strike.turn}, and {others} other turns")
        worker.kill()

    async def _ended(self, worker: WorkerProcess) -> None:
        """All it ever said has been heard. What it had not finished goes to others."""
        self._board.workers.remove(worker)
        if not worker.killed:
            raise DemoFailed(await worker.obituary())
        for turn in list(worker.turns):
            self._send_again(worker, turn, "its worker was killed")

    def _send_again(self, worker: WorkerProcess, turn: str, why: str) -> None:
        del worker.turns[turn]
        self._board.resent += 1
        replay = self._replay(turn)
        if len(replay.sent_to) == _TRIES:
            raise DemoFailed(f"{turn} was not served in {_TRIES} attempts; in the last, {why}")
        self._waiting.appendleft(replay)

    def _replay(self, turn: str) -> Replay:
        return self._replays[turn.rpartition("/")[0]]


def _told(found: Found) -> str:
    """What of the turn is not done again, and what is."""
    kept = f"{_count(found.answers, 'answer')}, {_count(found.outputs, 'output')} in its journal"
    return f"{kept}; {found.cut_off} runs again" if found.cut_off else kept


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _model_after(doing: str) -> str:
    """What a turn does when the model is called, after what it did before."""
    tool = doing.removeprefix(f"{MODEL} ← ")
    return MODEL if tool in (BEGUN, MODEL) else f"{MODEL} ← {tool}"
