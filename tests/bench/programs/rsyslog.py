"""rsyslog doing the nearest equal job.

It reads RFC 5424 messages, octet-counted over TCP; takes CEF apart with mmnormalize (liblognorm's
type for CEF, which loses the first letter of the first key) and JSON with mmjsonparse; writes the
fields, the message and the header as JSON; keeps what waits in a queue on disk; and posts it in
bulk requests as Elasticsearch takes them, since Debian builds it without omhttp: each event has a
line before it that says what to do. Its queue on disk is not flushed with fsync. It does not rename
fields, convert dates or give events an id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from tests.bench.programs import BATCH_EVENTS, RECEIVE_BUFFER, Job, Server, UnavailableError
from tests.bench.programs.packages import HOW, find, library_path
from tests.daemon import free_port

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG: Final = """
global(workDirectory="{directory}" parser.escapeControlCharactersOnReceive="off"
  maxMessageSize="64k" net.enableDNS="off")
{input}
module(load="mmnormalize")
module(load="mmjsonparse")
module(load="omelasticsearch")
template(name="event" type="list") {{
  constant(value="{{\\"host\\":\\"") property(name="hostname" format="json")
  constant(value="\\",\\"time\\":\\"") property(name="timestamp" dateFormat="rfc3339")
  constant(value="\\",\\"app\\":\\"") property(name="app-name" format="json")
  constant(value="\\",\\"message\\":\\"") property(name="msg" format="json")
  constant(value="\\",\\"edr\\":") property(name="$!edr") constant(value="}}")
}}
ruleset(name="in" queue.type="LinkedList" queue.size="200000" queue.timeoutEnqueue="600000"
    queue.dequeueBatchSize="1000" queue.workerThreads="1") {{
  {parsing}
  action(type="omelasticsearch" server="127.0.0.1" serverport="{sink}" template="event"
    searchIndex="edr" searchType="" bulkmode="on" maxbytes="100m" healthchecktimeout="10000"
    {queue} queue.dequeueBatchSize="{lines}" queue.timeoutEnqueue="600000"
    queue.workerThreads="1" action.resumeRetryCount="-1" action.resumeInterval="1")
}}
"""
_INPUTS: Final = {
    "tcp": """module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="in")""",
    "udp": f"""module(load="imudp" batchSize="128")
input(type="imudp" address="127.0.0.1" port="{{port}}" ruleset="in" rcvbufSize="{RECEIVE_BUFFER}")
""",
}
_QUEUES: Final = {
    "disk": 'queue.type="Disk" queue.filename="out" queue.maxFileSize="64m"',
    "memory": 'queue.type="LinkedList" queue.size="2000000"',
}
_PARSE: Final = {
    "cybereason": 'action(type="mmnormalize" rule="rule=:%.:cef%" path="$!edr")',
    "harfanglab": 'action(type="mmjsonparse" cookie="" container="!edr")',
}


class Rsyslog:
    """rsyslog as a `Program`.

    Args:
        job: what to do.
        packages: where packages were unpacked that are not installed.
    """

    def __init__(self, job: Job, packages: Path) -> None:
        self._job = job
        self._packages = packages

    async def __aenter__(self) -> Self:
        program = find("usr/sbin/rsyslogd", self._packages)
        output = find("usr/lib/*/rsyslog/omelasticsearch.so", self._packages)
        modules = find("usr/lib/*/rsyslog/mmnormalize.so", self._packages)
        if program is None or output is None or modules is None:
            raise UnavailableError(
                f"rsyslog or its omelasticsearch is missing: apt-get install rsyslog, then {HOW}"
            )
        port, directory = free_port(), self._job.directory
        config = directory / "rsyslog.conf"
        config.write_text(configuration(self._job, port))
        self._server = Server(
            [
                *(str(program), "-n", "-f", str(config), "-i", f"{directory}/pid"),
                *("-M", f"{modules.parent}:{output.parent}"),
            ],
            library_path(self._packages),
            directory,
            ("127.0.0.1", port),
        )
        self.address = self._server.address
        self.process = await self._server.start()
        self.version = (await self._server.version("-v")).removesuffix(" compiled with:")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._server.stop()


def configuration(job: Job, port: int) -> str:
    """Return its configuration for a job."""
    return _CONFIG.format(
        directory=job.directory,
        input=_INPUTS[job.transport].format(port=port),
        parsing=_parsing(job.vendors),
        sink=job.sink,
        queue=_QUEUES[job.spool],
        lines=BATCH_EVENTS,
    )


def _parsing(vendors: tuple[str, ...]) -> str:
    if len(vendors) == 1:
        return _PARSE[vendors[0]]
    first, second = vendors
    return f'if ($app-name == "{first}") then {{ {_PARSE[first]} }} else {{ {_PARSE[second]} }}'
