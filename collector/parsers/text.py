"""Texts that can be encoded: UTF-8 has no lone surrogates, so neither has an event."""

from collector.parsers import repairs


def well_formed(text: str) -> str:
    """Return the text with each lone surrogate replaced by U+FFFD.

    A text decoded from bytes holds none. One decoded from JSON may, and a single one would make
    the whole event impossible to encode. Two halves that belong together become one character.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def encodable(raw: str) -> tuple[str, tuple[str, ...]]:
    """Return a message as it can be encoded, see `well_formed`, with the tag if that repaired it.

    Halves that stand together were no damage.
    """
    text = well_formed(raw)
    if text is raw or text.count("\ufffd") == raw.count("\ufffd"):
        return text, ()
    return text, (repairs.LONE_SURROGATES,)
