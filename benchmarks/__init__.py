"""contract §13, measured: every number is a ratio to a floor taken in the same run (`make bench`)."""
