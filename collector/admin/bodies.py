"""Bodies of requests: read within bounds, whatever was announced of them."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import hdrs, web

BODY_SECONDS: Final = 20.0
"""For a body to come."""


async def read_body(request: web.Request, most: int) -> bytes:
    """Return the body of a request.

    Args:
        request: what was asked.
        most: octets that it may have, whether or not it said how many there are.

    Raises:
        aiohttp.web.HTTPException: the answer, if it is longer, compressed, late or broken.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(text="send it without Content-Encoding\n")
    if (request.content_length or 0) > most:
        raise _too_long(most, request.content_length or 0)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for some in request.content.iter_any():
                body += some
                if len(body) > most:
                    raise _too_long(most, len(body))
    except TimeoutError as error:
        text = f"the body did not come in {BODY_SECONDS:g} seconds\n"
        raise web.HTTPRequestTimeout(text=text) from error
    except web.RequestPayloadError as error:
        raise web.HTTPBadRequest(text="the body ended before its end, or is none\n") from error
    return bytes(body)


def _too_long(most: int, length: int) -> web.HTTPException:
    return web.HTTPRequestEntityTooLarge(most, length, text=f"at most {most} octets\n")
