"""The registry file `ml/registry/models.json` and the code that owns it."""
