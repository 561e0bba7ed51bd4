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
from collector.sinks.encoders import COMPRESS, DECOMPRESS
from collector.sinks.retry import Outcome, Verdict
from collector.spool.entries import first_intake

if TYPE_CHECKING:
    from collections.abc import Mapping

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


class Exchange:
    """Posts bodies to one sink and reads its answers.

    Args:
        settings: the sink's settings.
        form: the form in which it wants events; knows what its answers mean.
        session: HTTP client, which knows time-out and certificates.

    Raises:
        SecretFileError: a secret file cannot be read or holds no usable secret.
    """

    def __init__(
        self, settings: SinkSettings, form: Format, session: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._form = form
        self._session = session
        self._headers = request_headers(settings, form)
        self._reports = Reports(log)

    def refresh_headers(self) -> None:
        """Read the credentials again: a token that was refused may have been replaced since."""
        try:
            self._headers = request_headers(self._settings, self._form)
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
        """
        if not self._form.is_sealed:
            return batch.body
        body = DECOMPRESS[batch.codec](batch.body)
        intake = first_intake(batch.entries)
        return COMPRESS[batch.codec](self._form.seal(body, intake))

    async def post(self, batch: Batch, body: bytes) -> Answer:
        """Post the body of a batch; whatever happens is an answer, fit to be shown."""
        headers = self._headers
        code, verdict = await self._post(batch, body, headers)
        return Answer(code, verdict._replace(problem=self._shown(verdict.problem, headers)))

    async def _post(self, batch: Batch, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post the body of a batch; the problem may repeat what is secret."""
        if batch.codec != "none":
            headers = {**headers, "Content-Encoding": batch.codec}
        try:
            async with self._session.post(
                self._form.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return await self._read(response, batch.events)
        except TimeoutError:
            return _no_answer("timeout", "no answer in time")
        except aiohttp.ClientResponseError as error:  # as text it shows the URL
            return _no_answer("error", f"no HTTP answer: {error.message}")
        except (aiohttp.ClientError, OSError) as error:
            return _no_answer("error", f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not cost the batch
            self._reports.error("internal", "request failed, please report it", exc_info=True)
            return _no_answer("error", f"internal error: {type(error).__name__}")

    async def _read(self, response: aiohttp.ClientResponse, events: int) -> Answer:
        """Return what an answer means; its status stands, however badly its body ends."""
        body = await _body_of(response, self._form.answer_bytes)
        verdict = self._form.read(response.status, response.headers, body, events, time.time())
        return Answer(str(response.status), verdict)

    def _shown(self, problem: str, headers: Mapping[str, str]) -> str:
        """Make a problem fit to be shown: no secrets of the request, one line, not too long.

        Args:
            problem: what an answer, or a library, said.
            headers: those of the request; the credentials may have been replaced meanwhile.
        """
        if not problem:
            return ""
        secrets = secrets_of(self._form.url, headers)
        return " ".join(mask(problem[:SEARCHED_CHARS], secrets).split())[:SHOWN_CHARS]


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
