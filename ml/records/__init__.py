"""Records that survive a crash: journal, audit log, drafts."""
