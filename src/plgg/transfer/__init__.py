"""The transfer experiment: what a model of one population is worth on another."""

from typing import TYPE_CHECKING

from plgg.lazy import lazily

if TYPE_CHECKING:
    from plgg.transfer.course import Course, make_stores, transfer_of
    from plgg.transfer.plan import Transfer
    from plgg.transfer.run import Transferred, run_transfer

__all__ = ["Course", "Transfer", "Transferred", "make_stores", "run_transfer", "transfer_of"]
__getattr__ = lazily(
    __name__,
    {
        "Course": "course",
        "Transfer": "plan",
        "Transferred": "run",
        "make_stores": "course",
        "run_transfer": "run",
        "transfer_of": "course",
    },
)
