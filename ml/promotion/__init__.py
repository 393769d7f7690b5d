"""From a target to a pushed branch: checklist, evidence, plan, submission, gate."""
