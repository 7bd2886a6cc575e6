"""What one node of a Cluster knows of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .node import Node, parse_info

SLOTS = 16_384

_TROUBLE = {"fail", "fail?", "noaddr", "handshake"}


@dataclass(frozen=True, slots=True)
class Member:
    """A line of CLUSTER NODES. `slots` are ranges, both ends included."""

    id: str
    port: int
    flags: frozenset[str]
    primary_id: str
    slots: tuple[tuple[int, int], ...]

    @property
    def well(self) -> bool:
        """Whether it is known and thought alive."""
        return not self.flags & _TROUBLE

    @property
    def is_primary(self) -> bool:
        return "master" in self.flags

    def owns(self, slot: int) -> bool:
        """Whether it serves `slot`."""
        return any(first <= slot <= last for first, last in self.slots)

    @classmethod
    def parse(cls, line: str) -> Self:
        """From a line: id, address, flags, primary, four numbers and states, slots."""
        words = line.split()
        port = int(words[1].split("@")[0].rsplit(":", 1)[1])
        # A slot that is migrating is also listed in brackets; its owner lists it in a range too.
        slots = tuple(_range(word) for word in words[8:] if not word.startswith("["))
        return cls(words[0], port, frozenset(words[2].split(",")), words[3], slots)


@dataclass(frozen=True, slots=True)
class Members:
    """All members, as one of them sees them."""

    all: Sequence[Member]
    ok: bool

    @classmethod
    async def seen_by(cls, node: Node) -> Self:
        """Ask `node`."""
        info = parse_info(await node.command("CLUSTER", "INFO"))
        lines = str(await node.command("CLUSTER", "NODES")).splitlines()
        return cls([Member.parse(line) for line in lines], info["cluster_state"] == "ok")

    @property
    def living(self) -> list[Member]:
        return [member for member in self.all if member.well]

    def all_known(self, count: int) -> bool:
        """Whether these are `count` members, none of them in trouble."""
        return len(self.living) == len(self.all) == count

    def owner(self, slot: int) -> Member:
        """The primary of `slot`, though it may be dead. KeyError if there is none."""
        owners = [member for member in self.all if member.owns(slot)]
        if not owners:
            raise KeyError(f"no node serves slot {slot}")
        return max(owners, key=lambda member: member.well)

    def at(self, port: int) -> Member:
        """The member at `port`."""
        return next(member for member in self.all if member.port == port)

    def replicas_of(self, primary: Member) -> list[Member]:
        """Its living replicas."""
        return [member for member in self.living if member.primary_id == primary.id]

    def same_as(self, other: "Members") -> bool:
        """Whether both see the same living members in the same roles with the same slots."""
        return self._essence() == other._essence()

    def _essence(self) -> set[tuple[str, str, frozenset[tuple[int, int]]]]:
        return {(member.id, member.primary_id, frozenset(member.slots)) for member in self.living}


def _range(word: str) -> tuple[int, int]:
    first, _, last = word.partition("-")
    return int(first), int(last or first)
