"""syslog-ng doing the nearest equal job.

It reads RFC 5424 messages, octet-counted over TCP; takes CEF apart with csv-parser and kv-parser,
and JSON with json-parser; writes the fields, the message and the header as JSON with format-json;
keeps what waits in a reliable disk buffer; and posts as many lines at a time as the daemon. It does
not rename fields, convert dates, look for what is repaired or inferred, or give events an id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from tests.bench.programs import (
    BATCH_EVENTS,
    BATCH_MILLISECONDS,
    RECEIVE_BUFFER,
    Job,
    Server,
    UnavailableError,
)
from tests.bench.programs.packages import HOW, find, library_path
from tests.daemon import free_port

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG: Final = """@version: 3.38
options {{ stats-freq(0); keep-hostname(yes); use-dns(no); dns-cache(no); log-msg-size(65536); }};
source in {{
  syslog(ip("127.0.0.1") port({port}) transport("{transport}") {flow});
}};
parser cybereason {{
  csv-parser(
    columns("edr.version", "edr.device_vendor", "edr.device_product", "edr.device_version",
      "edr.device_event_class_id", "edr.name", "edr.severity", "extension")
    delimiters(chars("|")) dialect(escape-none) flags(greedy)
  );
  kv-parser(prefix("edr.extension.") pair-separator("{nothing}") template("${{extension}}"));
}};
parser harfanglab {{ json-parser(prefix("edr.")); }};
destination out {{
  http(
    url("http://127.0.0.1:{sink}/events") method("POST")
    headers("Content-Type: application/x-ndjson")
    body("$(format-json --key edr.* host=$HOST time=$ISODATE app=$PROGRAM{message})")
    batch-lines({lines}) batch-timeout({milliseconds}) workers(2) timeout(30)
    {queue}
  );
}};
log {{
  source(in);
  {parsing}
  destination(out);
  flags(flow-control);
}};
"""
# Octets may be large and many: the buffer is never to be full while a run lasts.
_DISK: Final = (
    'disk-buffer(reliable(yes) disk-buf-size(4294967296) mem-buf-size(67108864) dir("{directory}"))'
)
_MEMORY: Final = "log-fifo-size(2000000)"
_FLOW: Final = {
    "tcp": "max-connections(100) log-iw-size(100000) log-fetch-limit(1000)",
    "udp": f"so-rcvbuf({RECEIVE_BUFFER}) log-iw-size(100000) log-fetch-limit(1000)",
}
# What no message holds: with any other separator a value ends at its first comma or space.
_NOTHING: Final = "\\\\x01"


class SyslogNg:
    """syslog-ng as a `Program`.

    Args:
        job: what to do.
        packages: where its packages were unpacked, if they are not installed.
        with_message: whether its events hold the message as it came beside the fields, as the
            daemon's do.
    """

    def __init__(self, job: Job, packages: Path, *, with_message: bool = True) -> None:
        self._job = job
        self._packages = packages
        self._with_message = with_message

    async def __aenter__(self) -> Self:
        program = find("usr/sbin/syslog-ng", self._packages)
        modules = find("usr/lib/syslog-ng/[0-9]*", self._packages)
        if program is None or modules is None:
            raise UnavailableError(f"syslog-ng is missing; get it with {HOW}")
        port, directory = free_port(), self._job.directory
        config = directory / "syslog-ng.conf"
        config.write_text(configuration(self._job, port, with_message=self._with_message))
        self._server = Server(
            [
                *(str(program), "-F", "-f", str(config), f"--module-path={modules}"),
                *("-R", f"{directory}/persist", "-c", f"{directory}/ctl", "-p", f"{directory}/pid"),
                *("--no-caps", "--stderr"),
            ],
            library_path(self._packages),
            directory,
            ("127.0.0.1", port),
        )
        self.address = self._server.address
        self.process = await self._server.start()
        self.version = await self._server.version("--version")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._server.stop()


def configuration(job: Job, port: int, *, with_message: bool = True) -> str:
    """Return its configuration for a job."""
    return _CONFIG.format(
        port=port,
        transport=job.transport,
        flow=_FLOW[job.transport],
        nothing=_NOTHING,
        message=" message=$MESSAGE" if with_message else "",
        sink=job.sink,
        lines=BATCH_EVENTS,
        milliseconds=BATCH_MILLISECONDS,
        queue=(_DISK if job.spool == "disk" else _MEMORY).format(directory=job.directory),
        parsing=_parsing(job.vendors),
    )


def _parsing(vendors: tuple[str, ...]) -> str:
    if len(vendors) == 1:
        return f"parser({vendors[0]});"
    first, second = vendors
    return (
        f'if (program("{first}" type(string))) {{ parser({first}); }} else {{ parser({second}); }};'
    )
