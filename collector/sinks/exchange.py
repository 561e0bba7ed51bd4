"""One request to a sink, and what came of it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import structlog

from collector.logs import Reports
from collector.settings.secret_files import SecretFileError
from collector.sinks.credentials import mask, request_headers, secrets_of
from collector.sinks.encoders import COMPRESS, DAMAGE, posted_codec, take_plain
from collector.sinks.recoding import unreadable
from collector.sinks.retry import Outcome, Verdict
from collector.spool.entries import first_intake

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.abc import AbstractStreamWriter

    from collector.config import SinkSettings
    from collector.sinks.formats import Format
    from collector.spool import Batch

# What is shown of an answer, and where the search for secrets in it ends.
SHOWN_CHARS = 240
SEARCHED_CHARS = 64 * 1024

log = structlog.get_logger(__name__)


class Answer(NamedTuple):
    """What came of one request.

    Attributes:
        code: the status as text, or `timeout` or `error` where there was none.
        verdict: what it means for the batch; its problem is fit to be shown.
    """

    code: str
    verdict: Verdict


class _Body(aiohttp.Payload):
    """The body of a request, which goes out as it stands in memory.

    aiohttp writes the headers together with octets that it is given, which takes a copy of these.

    Args:
        octets: all of the body.
    """

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self._size = len(octets)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return it as text."""
        octets: bytes = self._value
        return octets.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the headers, then the body: the event loop sends both at once."""
        writer.send_headers()
        await writer.write(self._value)


class Exchange:
    """Posts bodies to one sink and reads its answers.

    Args:
        settings: the sink's settings.
        form: the form in which it wants events; knows what its answers mean.
        session: HTTP client, which knows time-out, certificates and proxy.
        headers: of every request (`credentials.request_headers`).
        mask: replaces intake keys, which are in events that an answer may repeat.

    Attributes:
        form: may be replaced, as the intakes it knows may change.
        headers: may be replaced, as credentials may change.
    """

    def __init__(
        self,
        settings: SinkSettings,
        form: Format,
        session: aiohttp.ClientSession,
        headers: Mapping[str, str],
        mask: Callable[[str], str] = str,
    ) -> None:
        self.form = form
        self.headers = headers
        self._settings = settings
        self._mask = mask
        self._session = session
        self._proxy = "" if settings.proxy is None else settings.proxy.get_secret_value()
        self._reports = Reports(log)

    def refresh_headers(self) -> None:
        """Read the credentials again: a token that was refused may have been replaced since."""
        try:
            self.headers = request_headers(self._settings, self.form)
        except SecretFileError as error:
            self._reports.warning(
                "credentials",
                "credentials cannot be read, the last ones are used",
                sink=self._settings.name,
                problem=str(error),
            )

    def body_of(self, batch: Batch) -> bytes:
        """Return a batch's body as it is posted: where the form has a secret in it, sealed.

        Raises:
            SealError: there is no such secret now.
            RecodingError: the batch cannot be read.
        """
        codec = self._codec_of(batch)
        if codec == batch.codec and not self.form.is_sealed:
            return batch.body
        try:
            body = take_plain(batch)
        except DAMAGE as error:
            raise unreadable(batch) from error
        if self.form.is_sealed:
            body = self.form.seal(body, first_intake(batch.entries))
        return COMPRESS[codec](body)

    def _codec_of(self, batch: Batch) -> str:
        return posted_codec(batch.codec, self._settings.compression)

    async def post(self, batch: Batch, body: bytes) -> Answer:
        """Post the body of a batch; whatever happens is an answer, fit to be shown."""
        # They may be replaced before there is an answer, which repeats what was sent.
        form, headers = self.form, self.headers
        code, verdict = await self._post(batch, body, form, headers)
        if not verdict.problem:
            return Answer(code, verdict)
        secrets = secrets_of(form.url, headers, self._proxy)
        said = self._mask(mask(verdict.problem[:SEARCHED_CHARS], secrets))
        return Answer(code, verdict._replace(problem=" ".join(said.split())[:SHOWN_CHARS]))

    async def _post(
        self, batch: Batch, body: bytes, form: Format, headers: Mapping[str, str]
    ) -> Answer:
        """Post the body of a batch; the problem may repeat what is secret."""
        codec = self._codec_of(batch)
        if codec != "none":
            headers = {**headers, "Content-Encoding": codec}
        try:
            async with self._session.post(
                form.url, data=_Body(body), headers=headers, allow_redirects=False
            ) as response:
                return await _read(response, form, batch.events)
        except TimeoutError:
            return _no_answer("timeout", "no answer in time")
        except aiohttp.ClientHttpProxyError as error:
            return _no_answer("error", f"the proxy answers HTTP {error.status}: {error.message}")
        except aiohttp.ClientResponseError as error:  # as text it shows the URL
            return _no_answer("error", f"no HTTP answer: {error.message}")
        except (aiohttp.ClientError, OSError) as error:
            return _no_answer("error", f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not cost the batch
            self._reports.error("internal", "request failed, please report it", exc_info=True)
            return _no_answer("error", f"internal error: {type(error).__name__}")


async def _read(response: aiohttp.ClientResponse, form: Format, events: int) -> Answer:
    """Return what an answer means; its status stands, however badly its body ends."""
    body = await _body_of(response, form.answer_bytes)
    verdict = form.read(response.status, response.headers, body, events, time.time())
    return Answer(str(response.status), verdict)


def _no_answer(code: str, problem: str) -> Answer:
    return Answer(code, Verdict(Outcome.RETRY, problem))


async def _body_of(response: aiohttp.ClientResponse, most: int) -> str:
    """Return the body of an answer as far as it comes, at most so many octets.

    It is read to its end so that the connection can be used again; one that is longer is not worth
    that and costs its connection.
    """
    parts, room = [], most
    with suppress(aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        while room and not response.content.at_eof():
            parts.append(await response.content.read(room))
            room -= len(parts[-1])
    return b"".join(parts).decode("utf-8", "replace")
