"""All kinds of operations, by name. A new kind is a small class and a line here."""

from chaos.operations.approvals import ApprovalRun, Resume
from chaos.operations.cancels import CancelTurn
from chaos.operations.http import HTTP_KINDS
from chaos.operations.kind import OperationKind
from chaos.operations.messages import Await, Submit
from chaos.operations.plain import Add, Clear, Pop, ReadAll, Rewrite
from chaos.operations.policies import PreemptingRun, PreemptingTurn
from chaos.operations.runs import Run, SDKRun, StreamedRun
from chaos.operations.turns import LongTurn, Read, ShortTurn

ALL_KINDS: tuple[OperationKind, ...] = (
    ShortTurn(),
    LongTurn(),
    Read(),
    Run(),
    StreamedRun(),
    SDKRun(),
    Add(),
    Pop(),
    Clear(),
    ReadAll(),
    Rewrite(),
    CancelTurn(),
    Submit(),
    Await(),
    ApprovalRun(),
    Resume(),
    PreemptingTurn(),
    PreemptingRun(),
    *HTTP_KINDS,
)
KINDS = {kind.name: kind for kind in ALL_KINDS}

__all__ = ["ALL_KINDS", "KINDS", "OperationKind"]
