"""The controller kit: work queue, reconcilers and their outcomes, manager, events, finalizers, leader election.

Capabilities write a `Reconciler`, say what to watch, and hand a `Controller` to the `Manager`. Knows no kind but Events and Leases.
"""

from lightship.control.controller import Controller, Reconciler
from lightship.control.events import Recorder
from lightship.control.manager import Manager
from lightship.control.outcome import Done, Outcome, RequeueAfter, Terminal
from lightship.control.queue import WorkQueue
from lightship.control.watch import Watch, itself, owner

__all__ = [
    "Controller",
    "Done",
    "Manager",
    "Outcome",
    "Reconciler",
    "Recorder",
    "RequeueAfter",
    "Terminal",
    "Watch",
    "WorkQueue",
    "itself",
    "owner",
]
