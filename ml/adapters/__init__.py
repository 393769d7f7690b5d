"""The only importers of GitPython, prometheus-api-client, requests and subprocess."""
