"""Texts that senders wrote, made fit for a terminal: it shows them and obeys nothing in them."""


def printable(text: str) -> str:
    """Write characters that a terminal would obey, or not show, as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def cut(text: str, length: int) -> str:
    """Write a text in at most so many characters, the last one an ellipsis if it has more."""
    shown = printable(text[: length + 1])
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"
