"""The way to the terminal: driver, output, and filters."""
