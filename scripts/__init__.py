"""The runbook's own commands."""
