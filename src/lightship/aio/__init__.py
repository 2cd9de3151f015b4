"""Asynchronous building blocks that know no domain: clock, backoff, task groups, queues.

Ground room. The only place in the house where time is read or slept; everything above takes a `Clock`.
"""
