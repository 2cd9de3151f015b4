"""The composition root: the only room that knows all others.

`platform` wires one running platform, `instance` knows where it lives on disk, `daemon` runs it in the background, `commands` is the
table of verbs. Wiring only: every decision belongs to a room below.
"""
