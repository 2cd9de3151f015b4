"""The rules that nodes and pods live by where nobody wrote Stages: what kwok's own sets do, without a template rendered per object."""
