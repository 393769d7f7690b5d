"""``python -m ml.serving``: serve one model in one stage until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

from ml.serving.engine import Engine, parse_options
from ml.serving.meters import Meters, read_counters


def main() -> int:
    """Run the engine; 0 after a signal, 2 when it cannot start."""
    options = parse_options()
    _log_in_utc()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        meters = Meters(options.stage, read_counters(options.counters) if options.counters else ())
        registry = CollectorRegistry()
        registry.register(meters)
        server, thread = start_http_server(options.port, addr="127.0.0.1", registry=registry)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The engine cannot start: {error}.\n")
        return 2
    _announce(server.server_port, options.port_file)
    Engine(options, meters).run(stop)
    server.shutdown()
    thread.join()
    return 0


def _log_in_utc() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ"))
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _announce(port: int, port_file: Path | None) -> None:
    sys.stdout.write(f"listening 127.0.0.1:{port}\n")
    sys.stdout.flush()
    if port_file is not None:
        part = port_file.with_name(f".{port_file.name}.{os.getpid()}")
        part.write_text(f"{port}\n", "ascii")
        part.replace(port_file)


if __name__ == "__main__":
    sys.exit(main())
