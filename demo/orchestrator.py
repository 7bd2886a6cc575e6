"""Dispatches the turns, kills workers in mid-turn, and retries what they leave unfinished."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any

from demo.call_tracker import ResumePoint
from demo.config import Config
from demo.kill_schedule import Kill, KillSchedule
from demo.recording import MODEL, Conversation, RecordedTurn, Recording
from demo.status import Status
from demo.worker_process import BEGUN, MAX_CONCURRENT_TURNS, RETRIED, WorkerProcess

_MAX_ATTEMPTS = 10  # a slow disk may cost a lease or two


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


class _Replay:
    """How far one conversation is replayed.

    `turn` is the next turn, or the running one, which was dispatched to each of `attempts` in
    turn. `last_worker` completed the turn before.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._left = list(reversed(conversation.turns))
        self.attempts: list[WorkerProcess] = []
        self.last_worker: WorkerProcess | None = None

    @property
    def turn(self) -> RecordedTurn:
        return self._left[-1]

    @property
    def is_complete(self) -> bool:
        return not self._left

    def advance(self, worker: WorkerProcess) -> None:
        self._left.pop()
        self.attempts = []
        self.last_worker = worker


class Orchestrator:
    """Knows which worker has which turn, and nothing of a turn's content."""

    def __init__(
        self, recording: Recording, config: Config, status: Status, *, kills: int, seed: int
    ) -> None:
        self._config = config
        self._status = status
        self._replays = {each.id: _Replay(each) for each in recording.conversations}
        self._backlog = deque(self._replays.values())
        random.Random(seed).shuffle(self._backlog)
        self._schedule = KillSchedule(status.total_turns, kills)
        self._kills: dict[str, Kill] = {}
        self._inbox: asyncio.Queue[tuple[WorkerProcess, dict[str, Any] | None]] = asyncio.Queue()
        self._readers: list[asyncio.Task[None]] = []

    async def run(self, workers: int) -> None:
        """Complete every turn of every conversation, then stop all workers. Raises DemoFailed."""
        try:
            for _ in range(workers):
                await self._start_worker()
            while self._status.completed_conversations < self._status.total_conversations:
                await self._handle_next()
            if not self._schedule.is_done:
                raise DemoFailed("too few turns for that many kills")
        finally:
            self._status.stop_clock()
            await asyncio.gather(*(worker.stop() for worker in self._status.workers))
            await asyncio.gather(*self._readers)

    async def _start_worker(self, why: str = "") -> None:
        self._status.workers_started += 1
        worker = await WorkerProcess.start(f"worker-{self._status.workers_started}", self._config)
        self._status.workers.append(worker)
        self._status.log(f"{worker} started{why}")
        self._readers.append(asyncio.create_task(self._read(worker)))

    async def _read(self, worker: WorkerProcess) -> None:
        try:
            async for message in worker.messages():
                self._inbox.put_nowait((worker, message))
        finally:
            self._inbox.put_nowait((worker, None))

    async def _handle_next(self) -> None:
        worker, message = await self._inbox.get()
        if message is not None:
            self._handle(worker, message)
        else:
            why = f" instead; {len(worker.turns)} turns of {worker.name} are retried"
            await self._exited(worker)
            await self._start_worker(why)
        self._dispatch()

    # Dispatching.

    def _dispatch(self) -> None:
        """Send each conversation's next turn to another process than the one of its last turn."""
        for _ in range(len(self._backlog)):
            replay = self._backlog.popleft()
            worker = self._free_worker(replay)
            if worker is None:
                self._backlog.append(replay)
            else:
                block_at = self._schedule.block_at(replay.turn, self._status.completed_turns)
                worker.dispatch(replay.turn.id, retried=bool(replay.attempts), block_at=block_at)
                replay.attempts.append(worker)

    def _free_worker(self, replay: _Replay) -> WorkerProcess | None:
        free = [
            worker
            for worker in self._status.workers
            if worker.ready
            and len(worker.turns) < MAX_CONCURRENT_TURNS
            and worker is not replay.last_worker
        ]
        return min(free, key=lambda worker: len(worker.turns), default=None)

    # Messages of workers.

    def _handle(self, worker: WorkerProcess, message: dict[str, Any]) -> None:
        turn_id = message["turn_id"]
        match message["type"]:
            case "ready":
                worker.ready = True
            case "turn_begun":
                self._turn_begun(worker, turn_id, message["attempt"], message["journal"])
            case "call_started":
                self._call_started(worker, turn_id, message["callee"], message["output_index"])
            case "call_finished":
                self._status.calls.finished(turn_id, message["output_index"])
            case "turn_completed":
                self._turn_completed(worker, turn_id)
            case "turn_lost":
                self._status.log(f"{worker} could not commit {turn_id}: {message['error']}")
                self._requeue(worker, turn_id, message["error"])
            case "turn_failed":
                raise DemoFailed(f"{worker} failed in {turn_id}:\n{message['error']}")

    def _turn_begun(self, worker: WorkerProcess, turn_id: str, attempt: int, journal: int) -> None:
        worker.turns[turn_id] = BEGUN
        if attempt > 1:
            self._status.takeovers += 1
            found = self._status.calls.taken_over(turn_id, journal)
            kill = self._kills.pop(turn_id, None)
            if kill is not None and kill.call.is_tool and found.interrupted == kill.call.callee:
                self._status.tool_takeovers += found.tool_started
            self._status.log(f"{worker.name} took over {turn_id}: {_described(found)}")

    def _call_started(
        self, worker: WorkerProcess, turn_id: str, callee: str, output_index: int
    ) -> None:
        self._status.calls.started(turn_id, output_index)
        before = worker.turns[turn_id]
        worker.turns[turn_id] = callee if callee != MODEL else _model_after(before)
        kill = self._schedule.take(turn_id, output_index)
        if kill is not None:
            self._kill(worker, kill)

    def _turn_completed(self, worker: WorkerProcess, turn_id: str) -> None:
        """If it did not begin on this worker, the worker of the attempt before committed it."""
        if worker.turns.pop(turn_id) == RETRIED:
            self._status.already_committed += 1
            self._status.log(f"{turn_id} was already committed when {worker} retried it")
            worker = self._replay(turn_id).attempts[-2]
        self._advance(turn_id, worker)

    def _advance(self, turn_id: str, worker: WorkerProcess) -> None:
        replay = self._replay(turn_id)
        self._status.worker_switches += replay.last_worker not in (None, worker)
        self._status.completed_turns += 1
        worker.completed_turns += 1
        replay.advance(worker)
        if replay.is_complete:
            self._status.completed_conversations += 1
        else:
            self._backlog.append(replay)

    # Kills.

    def _kill(self, worker: WorkerProcess, kill: Kill) -> None:
        """The worker has reported that this call started, and blocks in it."""
        self._kills[kill.turn_id] = kill
        self._status.tool_kills += kill.call.is_tool
        self._status.model_kills += not kill.call.is_tool
        call = f"tool {kill.call.callee}" if kill.call.is_tool else "a model call"
        others = len(worker.turns) - 1
        self._status.log(f"KILLED {worker} in {call} of {kill.turn_id}, and {others} other turns")
        worker.kill()

    async def _exited(self, worker: WorkerProcess) -> None:
        """All its messages are handled. Other workers retry its unfinished turns."""
        self._status.workers.remove(worker)
        if not worker.killed:
            raise DemoFailed(await worker.exit_report())
        for turn_id in list(worker.turns):
            self._requeue(worker, turn_id, "its worker was killed")

    def _requeue(self, worker: WorkerProcess, turn_id: str, why: str) -> None:
        del worker.turns[turn_id]
        self._status.retries += 1
        replay = self._replay(turn_id)
        if len(replay.attempts) == _MAX_ATTEMPTS:
            raise DemoFailed(f"{turn_id} failed {_MAX_ATTEMPTS} times; the last time, {why}")
        self._backlog.appendleft(replay)

    def _replay(self, turn_id: str) -> _Replay:
        return self._replays[turn_id.rpartition("/")[0]]


def _described(found: ResumePoint) -> str:
    """What is reused from the turn's journal, and what runs again."""
    responses = _count(found.responses, "response")
    journal = f"{responses}, {_count(found.outputs, 'output')} in its journal"
    return f"{journal}; {found.interrupted} runs again" if found.interrupted else journal


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _model_after(state: str) -> str:
    """The state of a turn in a model call: it shows the tool whose output the model gets."""
    tool = state.removeprefix(f"{MODEL} ← ")
    return MODEL if tool in (BEGUN, MODEL) else f"{MODEL} ← {tool}"
