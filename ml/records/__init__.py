"""What must survive a crash: journal, audit log, drafts."""
