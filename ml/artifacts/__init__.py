"""Artifacts: identifiers, manifests, verification in a sandbox, comparison."""
