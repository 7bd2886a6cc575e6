"""Leases: no worker is granted what another one holds, and who has lost a turn commits nothing."""

from __future__ import annotations

from chaos import script
from chaos.checker.findings import Findings, may_have_released
from chaos.history import Invocation, Takeover


def check(findings: Findings) -> None:
    for takeover in findings.history.takeovers:
        _not_taken_over_early(findings, takeover)
    for session in findings.by_session:
        granted = [one for one in findings.invocations_on(session) if one.granted is not None]
        _one_at_a_time(findings, granted)
    for one in findings.history.invocations:
        if one.error == "LeaseLost" and one.completed is not None:
            _not_lost_early(findings, one, one.completed)
        if one.outcome == "ok" and one.granted is not None and one.turn_id is not None:
            _fenced(findings, one)


def _not_taken_over_early(findings: Findings, takeover: Takeover) -> None:
    """A takeover comes a lease after the previous attempt's invocation, or after its release.

    A message may be taken over earlier: its attempt failed, or its worker requeued it.
    """
    if takeover.invocation < 0:
        return
    taker = findings.history.invocations[takeover.invocation]
    if taker.kind == "resume":  # the attempt before it was parked
        return
    op = taker.op
    others = [one for one in findings.by_op[op] if one.id != takeover.invocation]
    previous = [one for one in others if one.attempt == takeover.attempt - 1 and one.granted]
    unreported = [one for one in others if one.granted is None]
    # Who was killed, or cancelled before it knew of its grant, does not tell of it.
    untold = [one for one in unreported if one.error in ("WorkerDied", "CancelledError")]
    if any(may_have_released(one) for one in previous + untold):
        return
    since = _invoked_before(taker, takeover, previous, unreported, others)
    passed = takeover.at - since
    if passed < findings.history.lease and not _is_excused(findings, since, takeover.at):
        text = f"{op} was taken over {passed:.3f} s after its invocation on another worker"
        findings.violate("lease", takeover.session, text, op)


def _invoked_before(
    taker: Invocation,
    takeover: Takeover,
    previous: list[Invocation],
    unreported: list[Invocation],
    others: list[Invocation],
) -> float:
    """When the attempt was invoked that was taken over; of several candidates, the first.

    The `previous` ones were granted the number before this one. But a turn that is begun again,
    after another turn had the session, counts its attempts from one again: they may have got the
    number later. An `unreported` one may have been granted it: its worker was killed, say.
    """
    surely = [one for one in previous if one.granted is not None and one.granted < taker.invoked]
    if surely:
        return max(one.invoked for one in surely)
    earlier = [one.invoked for one in previous + unreported if one.invoked < takeover.at]
    return min(earlier or [one.invoked for one in others], default=takeover.at)


def _not_lost_early(findings: Findings, invocation: Invocation, completed: float) -> None:
    """A lease lasts for its length."""
    op, invoked = invocation.op, invocation.invoked
    passed = completed - invoked
    if findings.may_be_cancelled(op, start=invoked, end=completed):
        return
    if passed < findings.history.lease and not _is_excused(findings, invoked, completed):
        text = f"{op} on {invocation.worker} lost its lease within {passed:.3f} s"
        findings.violate("lease", invocation.session, text, op)


def _one_at_a_time(findings: Findings, granted: list[Invocation]) -> None:
    """No turn is granted while another one holds a live lease and is active."""
    for holder in granted:
        if holder.granted is None or holder.active_until is None:
            continue
        for other in granted:
            if other.op == holder.op or other.granted is None:
                continue
            inside = holder.granted < other.invoked and other.granted < holder.active_until
            if not inside or other.granted - holder.invoked >= findings.history.lease:
                continue
            if findings.may_be_cancelled(holder.op, start=holder.invoked, end=other.granted):
                continue
            if not _is_excused(findings, holder.invoked, other.granted):
                text = f"{other.op} was granted while {holder.op} held the session"
                findings.violate("lease", holder.session, text, holder.op, other.op)


def _fenced(findings: Findings, invocation: Invocation) -> None:
    """What is committed is the work of the latest grant."""
    answer = script.parse_answer(str(invocation.value.get("text")))
    if answer is None or answer[3] == 0 or answer[3] != invocation.attempt:
        return
    assert invocation.granted is not None
    assert invocation.turn_id is not None
    for takeover in findings.takeovers.get((invocation.session, invocation.turn_id), []):
        is_later = takeover.invocation != invocation.id and takeover.attempt > invocation.attempt
        if not is_later or not invocation.granted <= takeover.at <= (invocation.completed or 0):
            continue
        start = invocation.invoked
        if _was_delayed(findings, takeover) or _is_excused(findings, start, takeover.at):
            continue
        text = f"attempt {invocation.attempt} of {invocation.op} committed, though attempt "
        text += f"{takeover.attempt} had been granted"
        findings.violate("fencing", invocation.session, text, invocation.op)


def _was_delayed(findings: Findings, takeover: Takeover) -> bool:
    """Whether the worker may have learned of its grant long after the store gave it."""
    if takeover.invocation < 0:
        return True
    worker = findings.history.invocations[takeover.invocation].worker
    since = takeover.at - 4 * findings.history.lease
    return any(
        fault.target == worker and fault.start < takeover.at and (fault.end or since) >= since
        for fault in findings.history.faults
    )


def _is_excused(findings: Findings, start: float, end: float) -> bool:
    return findings.overlaps_lossy_fault(start, end) or findings.overlaps_clock_step(start, end)
