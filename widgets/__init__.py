"""Pure views: values in, intent out; no git, no network, no files."""
