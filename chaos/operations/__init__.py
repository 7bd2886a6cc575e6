"""All kinds of operations, by name. A new kind is a small class and one more line here."""

from chaos.operations.approvals import Ask, Resume
from chaos.operations.cancels import CancelTurn
from chaos.operations.messages import Await, Submit
from chaos.operations.operation import Operation
from chaos.operations.plain import Add, Clear, Pop, ReadAll, Rewrite
from chaos.operations.policies import PushyBrief, PushyRun
from chaos.operations.runs import PlainRun, Run, Streamed
from chaos.operations.turns import Brief, Held, Read

ALL: tuple[Operation, ...] = (
    Brief(),
    Held(),
    Read(),
    Run(),
    Streamed(),
    PlainRun(),
    Add(),
    Pop(),
    Clear(),
    ReadAll(),
    Rewrite(),
    CancelTurn(),
    Submit(),
    Await(),
    Ask(),
    Resume(),
    PushyBrief(),
    PushyRun(),
)
OPERATIONS = {operation.kind: operation for operation in ALL}

__all__ = ["ALL", "OPERATIONS", "Operation"]
