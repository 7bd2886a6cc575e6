"""What was decided of the calls that ask for approval."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from turnwise.errors import UsageError
from turnwise.journal_entries import DecidedEntry


@dataclass
class Decisions:
    """Decisions by the ids of pending approvals.

    Attributes:
        approve: The ids that are approved.
        reject: The ids that are rejected, each with the message to the model; None for the SDK's.
        always: Those of them whose decision is about all calls of that tool by that agent.
    """

    approve: set[str] = field(default_factory=set)
    reject: dict[str, str | None] = field(default_factory=dict)
    always: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        session_id: str,
        approve: Iterable[str],
        reject: Mapping[str, str | None] | None,
        always_approve: Iterable[str],
        always_reject: Mapping[str, str | None] | None,
    ) -> Decisions:
        """The caller's decisions. Raises UsageError for what is no id, or is decided twice."""
        if any(isinstance(ids, str) for ids in (approve, always_approve)):
            raise UsageError("approve takes a list of ids, not a string", session_id=session_id)
        if not all(isinstance(given, Mapping | None) for given in (reject, always_reject)):
            raise UsageError("reject takes a dict from ids to texts", session_id=session_id)
        approve, always_approve = list(approve), list(always_approve)
        given = [*approve, *always_approve, *(reject or ()), *(always_reject or ())]
        if (wrong := next((one for one in given if not isinstance(one, str)), None)) is not None:
            raise UsageError(
                "approve and reject take the ids of pending approvals, not "
                f"{type(wrong).__name__}: `session.pending_approvals()` lists them",
                session_id=session_id,
            )
        once, always = cls(set(approve), dict(reject or {})), cls(set(always_approve))
        always.reject = dict(always_reject or {})
        made = once.approve, set(once.reject), always.approve, set(always.reject)
        if twice := {one for one in once.ids | always.ids if sum(one in ids for ids in made) > 1}:
            raise UsageError(
                f"approved and rejected, or for once and always: {listed(twice)}",
                session_id=session_id,
            )
        return cls(once.approve | always.approve, once.reject | always.reject, always.ids)

    @property
    def ids(self) -> set[str]:
        return self.approve | set(self.reject)

    def add(self, other: Decisions) -> None:
        """Add decisions on other calls."""
        self.approve |= other.approve
        self.reject |= other.reject
        self.always |= other.always

    def without(self, ids: set[str]) -> Decisions:
        """The decisions on all calls but these."""
        reject = {one: message for one, message in self.reject.items() if one not in ids}
        return Decisions(self.approve - ids, reject, self.always - ids)

    def on(self, approval_id: str) -> tuple[bool, str | None, bool]:
        """The decision: whether it is approved, what the model is told, and if it is for always."""
        approved, always = approval_id in self.approve, approval_id in self.always
        return approved, self.reject.get(approval_id), always

    def entry(self) -> DecidedEntry:
        """The journal's entry for these decisions."""
        always = sorted(self.always) or None
        return DecidedEntry(
            approve=sorted(self.approve), reject=self.reject, always=always, at=time.time()
        )


def listed(ids: Iterable[str]) -> str:
    """Ids, for an error."""
    return ", ".join(map(repr, sorted(ids)))
