"""The attacking machine: who may push, pushes; an independent oracle watches what lands."""
