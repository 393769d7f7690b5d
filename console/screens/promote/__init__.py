"""The promotion screen: its steps, controller, and pages."""
