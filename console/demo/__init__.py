"""The local stack behind `make demo`, and the drill."""
