"""What the operator runs: the interface and the command line, two faces of one façade."""
