"""Results of committed turns: what the record keeps of a run, and the SDK's result made from it."""

from turnwise.results.rebuild import Rebuildable, RebuiltRun
from turnwise.results.record import pack_record, record_differs, times_parked_in, usages_in

__all__ = [
    "Rebuildable",
    "RebuiltRun",
    "pack_record",
    "record_differs",
    "times_parked_in",
    "usages_in",
]
