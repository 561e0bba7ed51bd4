"""Domain names: what is registered, what stands above it and what below.

The public suffix list is the one that comes with `publicsuffixlist`, with the suffixes of its
private section (``github.io``): what is registered there belongs to someone, too.
"""

import re
from functools import cache, lru_cache
from typing import Any, Final

from publicsuffixlist import PublicSuffixList

from collector.parsers.convert import fields_of

_MAX_CHARACTERS: Final = 253  # RFC 1035, section 2.3.4, without the dot of the root
# Letters, digits, hyphens and underscores; and whatever is not ASCII, for names in other scripts.
# RFC 1035 allows 63 characters in a label.
_LABEL: Final = r"[^\s\x00-,./:-@\[-^`{-\x7f]{1,63}"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")


@cache
def _suffixes() -> PublicSuffixList:
    """Load the list; takes a tenth of a second."""
    return PublicSuffixList()


@fields_of(
    {"registered_domain": "keyword", "top_level_domain": "keyword", "subdomain": "keyword"},
    prepare=_suffixes,
)
def domain_parts(value: Any) -> dict[str, str] | None:
    """Split a domain name, in lower case, by the public suffix list.

    A name under no public suffix (``dc.corp.local``) has a subdomain only: all labels but the
    last. A public suffix itself has nothing registered. Addresses, names of one label, and what
    is no name at all have none of it. One dot at the end, of the root, is left out.
    """
    if not isinstance(value, str):
        return None
    name = value.removesuffix(".")
    return dict(_parts(name.lower())) or None if len(name) <= _MAX_CHARACTERS else None


@lru_cache(maxsize=4096)  # the names of a site come again and again; a miss costs 20 hits
def _parts(name: str) -> tuple[tuple[str, str], ...]:
    """Return names and values of the fields; of a cached dict, all events would have the same."""
    if not _NAME.fullmatch(name):
        return ()
    *above, last = labels = name.split(".")
    if last.isdecimal():  # 192.0.2.1: no top-level domain is a number
        return ()
    suffix = _suffixes().publicsuffix(name, accept_unknown=False)
    if suffix is None:
        return (("subdomain", ".".join(above)),)
    below = len(labels) - suffix.count(".") - 2  # the place of the label that is registered
    if below < 0:
        return (("top_level_domain", suffix),)
    parts = (("registered_domain", ".".join(labels[below:])), ("top_level_domain", suffix))
    return (*parts, ("subdomain", ".".join(labels[:below]))) if below else parts
