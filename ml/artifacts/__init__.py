"""Artifacts: identifiers, manifests, verification in a cage, comparison."""
