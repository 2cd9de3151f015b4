"""Rehearsals: scenarios in virtual time, and the books that are kept of them."""
