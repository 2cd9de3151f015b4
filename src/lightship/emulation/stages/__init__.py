"""Stages that somebody wrote, compiled: whom they are for, when they are entered, and what they do."""
