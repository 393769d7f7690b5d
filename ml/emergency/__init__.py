"""The kill switch with its receipt, rollback, and the one-hour watch."""
