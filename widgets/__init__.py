"""Pure views: they draw values and post the operator's intent, without git, network or files."""
