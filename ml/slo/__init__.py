"""Service-level objectives, the soak tape, alerts and anomalies, judged from Prometheus."""
