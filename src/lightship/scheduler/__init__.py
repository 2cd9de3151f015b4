"""The scheduler: which pod goes to which node, decided by a pure core and carried out by a thin bind loop.

`controller.controller(manager)` is the door. `plan.plan` is the core: pods and nodes in, decisions out, no I/O, no clock, no randomness.
"""
