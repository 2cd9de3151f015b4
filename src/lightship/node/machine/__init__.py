"""This machine as a Node: what it has, what is used of it, and which container holds which device."""
