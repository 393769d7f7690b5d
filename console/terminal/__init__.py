"""Connection to the terminal: driver, output, and filters."""
