"""The domain of mlconsole: registry, artifacts, SLOs, promotion and emergency. Knows no terminal."""
