"""What every Kubernetes object has in common: metadata, selectors, quantities, patches, schema, errors.

Ground room: pure functions and plain values, no I/O, no clock, no randomness. Everybody above may import it; it imports nothing of ours.
"""
