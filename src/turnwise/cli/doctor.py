"""`turnwise doctor`: checks of a deployment."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated

import typer

from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Format, print_json
from turnwise.connect import connect
from turnwise.doctor import Finding, Report, diagnose
from turnwise.errors import TurnwiseError
from turnwise.printable import printable
from turnwise.session import Session

_COLOURS = {"ok": "green", "unknown": "cyan", "warning": "yellow", "critical": "red"}
_CRITICAL = 2
_PAUSE = 1.0


@verb
def doctor(
    how: Looking,
    init_check: Annotated[
        bool,
        typer.Option(
            "--init-check",
            help="For an init container: wait until the store answers, print faults only, and let "
            "warnings pass.",
        ),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            help="With --init-check: how long to wait for the store.", metavar="SECONDS", min=0
        ),
    ] = 60.0,
    lease: Annotated[
        float, typer.Option(help="The lease that the workers use.", metavar="SECONDS")
    ] = 15.0,
) -> None:
    """Check a deployment: what is wrong, why it matters, and the command that mends it.

    Exit status: 0 nothing found; 1 warnings; 2 something critical, or the store is not reached.
    With --init-check, warnings exit with 0.
    """
    try:
        report = asyncio.run(_report(how, lease, timeout if init_check else 0))
    except TurnwiseError as error:
        typer.echo(f"turnwise: {error}", err=True)
        raise typer.Exit(_CRITICAL) from None
    findings = report.faults if init_check else report.findings
    if how.output == Format.JSON:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    elif how.output == Format.JSONL:
        print_json(findings, how.output)
    else:
        for finding in findings:
            _show(finding)
    code = report.exit_code
    raise typer.Exit(code if code == _CRITICAL or not init_check else 0)


async def _report(how: Looking, lease: float, wait: float) -> Report:
    """Of a store in this process's memory too."""
    async with connect(how.url, key_prefix=how.key_prefix, lease=lease) as session:
        return await _wait(session, wait)


async def _wait(session: Session, timeout: float) -> Report:
    """Diagnose until the store answers; what it refuses now it will refuse later."""
    deadline = time.monotonic() + timeout
    while True:
        report = await diagnose(session)
        if time.monotonic() > deadline or not report.is_unreachable:
            return report
        typer.echo(f"waiting: {printable(report.findings[0].what)}", err=True)
        await asyncio.sleep(_PAUSE)


def _show(finding: Finding) -> None:
    """Lines, not cells of a table: what mends it is to be copied whole."""
    where = f"[{finding.where}] " if finding.where else ""
    severity = typer.style(f"{finding.severity:<8}", fg=_COLOURS[finding.severity])
    typer.echo(f"{severity}  {finding.name}: {printable(where + finding.what)}")
    for label, text in (("why", finding.why), ("mend", finding.fix)):
        if text:
            typer.echo(f"{'':8}  {label}: {printable(text)}")
