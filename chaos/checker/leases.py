"""Leases: nobody is given what is somebody else's, and who has lost a turn commits nothing."""

from __future__ import annotations

from chaos import script
from chaos.checker.findings import Findings, gave_back
from chaos.history import Call, Takeover


def check(findings: Findings) -> None:
    for takeover in findings.history.takeovers:
        _not_too_early(findings, takeover)
    for session in findings.by_session:
        calls = [call for op in findings.by_session[session] for call in findings.by_op[op]]
        _one_at_a_time(findings, [call for call in calls if call.granted is not None])
    for call in findings.history.calls:
        if call.error == "LeaseLost" and call.ended is not None:
            _not_lost_early(findings, call, call.ended)
        if call.outcome == "ok" and call.granted is not None and call.turn_id is not None:
            _not_superseded(findings, call)


def _not_too_early(findings: Findings, takeover: Takeover) -> None:
    """Since the sending of the attempt that was taken over, a lease has passed, or it let go.

    A message's may have been given back in good order, or failed.
    """
    if takeover.call < 0:
        return
    taker = findings.history.calls[takeover.call]
    if taker.kind == "resume":  # the attempt before it was parked
        return
    op = taker.op
    others = [call for call in findings.by_op[op] if call.call != takeover.call]
    before = [call for call in others if call.attempt == takeover.attempt - 1 and call.granted]
    if any(gave_back(call) for call in before):
        return
    since = _taken_from(taker, takeover, before, others)
    passed = takeover.at - since
    if passed < findings.history.lease and not _is_excused(findings, since, takeover.at):
        text = f"{op} was taken over {passed:.3f} s after it was sent to another worker"
        findings.violate("lease", takeover.session, text, op)


def _taken_from(taker: Call, takeover: Takeover, before: list[Call], others: list[Call]) -> float:
    """When the attempt was sent that a turn was taken from; of several that it may be, the first.

    A call `before` was granted the number before this one. But begun anew, after another turn had
    the session, a turn counts its attempts from one again: it may have been granted it later. A
    call that did not tell of a grant (its worker was killed, say) may have had one.
    """
    surely = [c.invoked for c in before if c.granted is not None and c.granted < taker.invoked]
    if surely:
        return max(surely)
    untold = [call for call in others if call.granted is None]
    earlier = [c.invoked for c in before + untold if c.invoked < takeover.at]
    return min(earlier or [call.invoked for call in others], default=takeover.at)


def _not_lost_early(findings: Findings, call: Call, ended: float) -> None:
    """A lease stands for its length."""
    passed = ended - call.invoked
    if findings.was_ended(call.op, start=call.invoked, end=ended):
        return
    if passed < findings.history.lease and not _is_excused(findings, call.invoked, ended):
        text = f"{call.op} on {call.worker} lost its lease within {passed:.3f} s"
        findings.violate("lease", call.session, text, call.op)


def _one_at_a_time(findings: Findings, calls: list[Call]) -> None:
    """No turn is granted while another holds the session, knows it, and was renewed in time."""
    for call in calls:
        if call.granted is None or call.held is None:
            continue
        for other in calls:
            if other.op == call.op or other.granted is None:
                continue
            inside = call.granted < other.invoked and other.granted < call.held
            if not inside or other.granted - call.invoked >= findings.history.lease:
                continue
            if findings.was_ended(call.op, start=call.invoked, end=other.granted):
                continue
            if not _is_excused(findings, call.invoked, other.granted):
                text = f"{other.op} was granted while {call.op} held the session"
                findings.violate("lease", call.session, text, call.op, other.op)


def _not_superseded(findings: Findings, call: Call) -> None:
    """What is committed was done by the last one to whom the turn was granted."""
    told = script.parse_answer(str(call.value.get("text")))
    if told is None or told[3] == 0 or told[3] != call.attempt:
        return
    assert call.granted is not None
    assert call.turn_id is not None
    for takeover in findings.takeovers.get((call.session, call.turn_id), []):
        later = takeover.call != call.call and takeover.attempt > call.attempt
        if not later or takeover.at < call.granted or takeover.at > (call.ended or 0):
            continue
        if _stood_still(findings, takeover) or _is_excused(findings, call.invoked, takeover.at):
            continue
        text = f"attempt {call.attempt} of {call.op} committed, though attempt "
        text += f"{takeover.attempt} had been granted"
        findings.violate("superseded", call.session, text, call.op)


def _stood_still(findings: Findings, takeover: Takeover) -> bool:
    """Whether the worker may have learnt of its grant long after it was given."""
    if takeover.call < 0:
        return True
    worker = findings.history.calls[takeover.call].worker
    since = takeover.at - 4 * findings.history.lease
    return any(
        fault.target == worker and fault.start < takeover.at and (fault.end or since) >= since
        for fault in findings.history.faults
    )


def _is_excused(findings: Findings, start: float, end: float) -> bool:
    return findings.may_be_lost(start, end) or findings.clock_was_set(start, end)
