"""SIEMs for tests: they answer as the real APIs document it, partial failures included."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import zstandard
from aiohttp import web

from tests.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = web.Response | int
"""A response, or the status of an empty one."""

NO_ANSWER = 0
"""In place of a status: the connection is closed without a word."""

_UNPACK = {
    None: lambda body: body,
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().stream_reader(body).read(),
}


class FakeSiem(HttpServer):
    """Carries out requests as a kind of SIEM does, or answers as it is told.

    Attributes:
        before: answers a request, of which it gets the number from 1, without carrying it out;
            None has it carried out.
        after: answers a request that has been carried out, in place of what it would be answered;
            None leaves it at that.
        bodies: the body of every request, decompressed.
        headers: the headers of every request.
        paths: the path and query of every request.
    """

    auto_decompress = False

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[int], Answer | None] = lambda _: None
        self.after: Callable[[int], Answer | None] = lambda _: None
        self.bodies: list[bytes] = []
        self.headers: list[Any] = []
        self.paths: list[str] = []

    async def _post(self, request: web.Request) -> web.Response:
        body = _UNPACK[request.headers.get("Content-Encoding")](await request.read())
        self.bodies.append(body)
        self.headers.append(request.headers)
        self.paths.append(request.path_qs)
        number = len(self.bodies)
        answer = self.before(number)
        if answer is None:
            carried_out = self._take(request, body)
            replaced = self.after(number)
            answer = carried_out if replaced is None else replaced
        self._tell()
        if answer == NO_ANSWER and request.transport is not None:
            request.transport.abort()
        return web.Response(status=answer or 500) if isinstance(answer, int) else answer

    def _take(self, request: web.Request, body: bytes) -> web.Response:
        """Carry out a request and return the answer to it."""
        raise NotImplementedError


class FakeLake(FakeSiem):
    """Takes NDJSON and JSON arrays.

    Attributes:
        taken: every document, in order of arrival.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Any] = []

    def _take(self, request: web.Request, body: bytes) -> web.Response:
        if request.content_type == "application/x-ndjson":
            assert body.endswith(b"\n")
            self.taken += [json.loads(line) for line in body.split(b"\n")[:-1]]
        else:
            self.taken += json.loads(body)
        return web.Response(status=204)


class FakeElasticsearch(FakeSiem):
    """The bulk API of Elasticsearch 9, `create` alone.

    A name that begins with `logs-` is that of a data stream.

    Attributes:
        judge: gives the status of a document that could be created: 201, or the one it is refused
            with; or `failure_store`, as where its mapping fails and the stream has such a store.
        indices: the documents by index and id, in order of arrival.
        failure_store: the documents that were kept apart.
    """

    ERRORS = {
        400: ("document_parsing_exception", "[1:9] failed to parse field [n] of type [long]"),
        403: ("security_exception", "action [indices:data/write/bulk[s]] is unauthorized"),
        429: ("es_rejected_execution_exception", "rejected execution of primary operation"),
        503: ("unavailable_shards_exception", "primary shard is not active"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.judge: Callable[[dict[str, Any]], int | str] = lambda _: 201
        self.indices: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.failure_store: list[dict[str, Any]] = []

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Every document that is where it belongs."""
        return [document for index in self.indices.values() for document in index.values()]

    def _take(self, request: web.Request, body: bytes) -> web.Response:
        if not request.path.endswith("/_bulk"):
            return _error(405, "method_not_allowed", f"incorrect HTTP method for [{request.path}]")
        if request.content_type not in {"application/x-ndjson", "application/json"}:
            return _error(406, "media_type_header_exception", "Content-Type is not supported")
        if not body.endswith(b"\n"):
            reason = "The bulk request must be terminated by a newline [\\n]"
            return _error(400, "illegal_argument_exception", reason)
        lines = [json.loads(line) for line in body.split(b"\n")[:-1]]
        items = [
            self._create(**action["create"], document=document)
            for action, document in zip(lines[::2], lines[1::2], strict=True)
        ]
        answer: dict[str, Any] = {
            "errors": any(item["status"] >= 300 for item in items),
            "items": [{"create": item} for item in items],
        }
        if "filter_path" in request.query:
            assert request.query["filter_path"] == (
                "errors,items.*.status,items.*.error,items.*.failure_store"
            )
            shown = {"status", "error", "failure_store"}
            for item in answer["items"]:
                item["create"] = {
                    key: item["create"][key] for key in item["create"] if key in shown
                }
        else:
            answer["took"] = 3
        return web.json_response(answer)

    def _create(self, *, _index: str, _id: str, document: dict[str, Any]) -> dict[str, Any]:
        about = {"_index": _index, "_id": _id}
        if _id in self.indices[_index]:
            reason = f"[{_id}]: version conflict, document already exists"
            return {**about, "status": 409, "error": _reason("version_conflict", reason)}
        if _index.startswith("logs-") and "@timestamp" not in document:
            reason = "data stream timestamp field [@timestamp] is missing"
            return {**about, "status": 400, "error": _reason("document_parsing_exception", reason)}
        verdict = self.judge(document)
        if verdict == "failure_store":
            self.failure_store.append(document)
            return {"_index": f".fs-{_index}", "status": 201, "failure_store": "used"}
        if verdict == 201:
            self.indices[_index][_id] = document
            return {**about, "_version": 1, "result": "created", "status": 201}
        return {**about, "status": verdict, "error": _reason(*self.ERRORS[int(verdict)])}


class FakeHec(FakeSiem):
    """Splunk's HTTP Event Collector.

    It reads one object after the other: what stands before an invalid one is indexed, the invalid
    one is named, and what follows is not looked at.

    Attributes:
        token: the one that is valid.
        indexes: the indexes that the token may write to; the first is its own.
        judge: says whether an event is valid.
        indexed: every object that was taken, in order of arrival.
    """

    def __init__(self, token: str = "the-token") -> None:
        super().__init__()
        self.token = token
        self.indexes = ["main"]
        self.judge: Callable[[Any], bool] = lambda _: True
        self.indexed: list[dict[str, Any]] = []

    @property
    def events(self) -> list[Any]:
        """The event of every object that was taken."""
        return [item["event"] for item in self.indexed]

    def _take(self, request: web.Request, body: bytes) -> web.Response:
        if request.path not in {"/services/collector", "/services/collector/event"}:
            return _said(404, 404, "The requested URL was not found on this server.")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return _said(401, 2, "Token is required")
        if scheme != "Splunk":
            return _said(401, 3, "Invalid authorization")
        if token != self.token:
            return _said(403, 4, "Invalid token")
        return self._index(body.decode())

    def _index(self, text: str) -> web.Response:
        decoder, position, number = json.JSONDecoder(), 0, 0
        text = text.strip()
        if not text:
            return _said(400, 5, "No data")
        while position < len(text):
            try:
                item, position = decoder.raw_decode(text, position)
            except ValueError:
                return _said(400, 6, "Invalid data format", number)
            if flaw := self._flaw(item):
                return _said(400, *flaw, number)
            self.indexed.append({"index": self.indexes[0], **item})
            number += 1
            position += len(text[position:]) - len(text[position:].lstrip())
        return _said(200, 0, "Success")

    def _flaw(self, item: Any) -> tuple[int, str] | None:
        if not isinstance(item, dict) or not isinstance(item.get("time", 0), int | float):
            return 6, "Invalid data format"
        if "event" not in item:
            return 12, "Event field is required"
        if item["event"] in ("", None):
            return 13, "Event field cannot be blank"
        if item.get("index", self.indexes[0]) not in self.indexes:
            return 7, "Incorrect index"
        return None if self.judge(item["event"]) else (6, "Invalid data format")


class FakeSekoia(FakeSiem):
    """The HTTP intake of Sekoia.io.

    Attributes:
        keys: the intake keys that are known.
        taken: the messages by key, in order of arrival.
    """

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self.keys = set(keys)
        self.taken: defaultdict[str, list[str]] = defaultdict(list)

    def _take(self, request: web.Request, body: bytes) -> web.Response:
        if request.path != "/batch":
            return web.json_response({"message": "Not Found"}, status=404)
        said = json.loads(body)
        if set(said) != {"intake_key", "jsons"}:
            return web.json_response({"message": "Bad Request"}, status=400)
        if said["intake_key"] not in self.keys:
            message = f"The intake key {said['intake_key']} is not known"
            return web.json_response({"message": message}, status=401)
        self.taken[said["intake_key"]] += said["jsons"]
        return web.json_response({"event_ids": [str(at) for at in range(len(said["jsons"]))]})


def _error(status: int, kind: str, reason: str) -> web.Response:
    return web.json_response({"error": _reason(kind, reason), "status": status}, status=status)


def _reason(kind: str, reason: str) -> dict[str, str]:
    return {"type": kind, "reason": reason}


def _said(status: int, code: int, text: str, number: int | None = None) -> web.Response:
    answer: dict[str, Any] = {"text": text, "code": code}
    if number is not None:
        answer["invalid-event-number"] = number
    return web.json_response(answer, status=status)
