"""Nodes and pods that are played by rules instead of being run: thousands of nodes on one machine.

A client of any Kubernetes API. `controller` is the door for `main`; `play` decides what happens to one object, and when.
"""
