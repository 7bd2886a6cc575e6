"""What a check finds: faults that are known by name, and how grave they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["ok", "unknown", "warning", "critical"]
_EXIT_CODES: dict[Severity, int] = {"ok": 0, "unknown": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is about, or the fault's name.
        severity: `"ok"`; `"unknown"`: it could not be looked at; `"warning"`: something will go
            wrong one day; `"critical"`: data is in danger, or Turnwise does not work.
        what: What was seen.
        why: Why it matters; "" if it is no fault.
        fix: The command, or the line of configuration, that mends it; "" if it is no fault.
        where: The server or file; "" for all of it.
    """

    name: str
    severity: Severity
    what: str
    why: str = ""
    fix: str = ""
    where: str = ""


@dataclass(frozen=True)
class Fault:
    """A fault that doctor knows."""

    name: str
    severity: Severity
    why: str

    def found(self, what: str, fix: str, where: str = "") -> Finding:
        return Finding(self.name, self.severity, what, self.why, fix, where)


def ok(name: str, what: str, where: str = "") -> Finding:
    return Finding(name, "ok", what, where=where)


def unknown(name: str, what: str, fix: str, where: str = "") -> Finding:
    """It could not be looked at; `fix` says how it can."""
    return Finding(name, "unknown", what, fix=fix, where=where)


@dataclass(frozen=True)
class Report:
    """All that was found, in the order of the checks.

    Attributes:
        findings: What was looked at.
    """

    findings: Sequence[Finding]

    @property
    def faults(self) -> list[Finding]:
        """The findings that are warnings or critical, the critical ones first."""
        found = [each for each in self.findings if _EXIT_CODES[each.severity]]
        return sorted(found, key=lambda each: -_EXIT_CODES[each.severity])

    @property
    def exit_code(self) -> int:
        """0: no fault; 1: warnings; 2: something critical."""
        return max((_EXIT_CODES[each.severity] for each in self.findings), default=0)

    @property
    def is_unreachable(self) -> bool:
        """Whether the store did not answer, so that nothing else was looked at."""
        return any(each.name == "unreachable" for each in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `exit_code`, and `findings` with the fields of `Finding`."""
        return {
            "exit_code": self.exit_code,
            "findings": [asdict(finding) for finding in self.findings],
        }
