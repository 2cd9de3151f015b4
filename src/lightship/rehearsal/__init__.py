"""Rehearsals: a day of a cluster that is not there yet, played in virtual time on the platform's own server, controllers and scheduler.

`command` is the door; `scenario` says what happens when, `player` does it, `ledger` keeps the books, `report` sums them up.
"""
