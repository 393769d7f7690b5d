"""Benchmarks of contract §13: every number is a ratio to a floor measured in the same run (`make bench`)."""
