"""The words an item is found by, and those of a text somebody looks for: the same letters for the same sound."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_WORD = 64
MOST_WORDS = 64
MOST_WORDS_ASKED = 8


def split(text: str) -> list[str]:
    """Split a text into its words, in order and each once: no accents, no capitals, only letters and digits."""
    folded = _plain(unicodedata.normalize("NFKD", text).casefold())
    words = "".join(character if character.isalnum() else " " for character in folded).split()
    return list(dict.fromkeys(word[:LONGEST_WORD] for word in words))


def words_of(*, sku: str, name: str, barcode: str | None, category: str | None, tags: Iterable[str]) -> list[str]:
    """Tell the words an item is found by; its SKU counts also as one word, so that AB12 finds AB-12."""
    joined = "".join(split(sku))[:LONGEST_WORD]
    texts = (sku, joined, barcode or "", name, category or "", *tags)
    return list(dict.fromkeys(word for text in texts for word in split(text)))[:MOST_WORDS]


def asked(text: str) -> list[str]:
    """Tell which words somebody looks for; none when a text has neither letters nor digits."""
    return split(text)[:MOST_WORDS_ASKED]


def query(choices: Iterable[tuple[str, Iterable[str] | None]]) -> str:
    """Write a tsquery: each word as the beginning of one, or in its place any of those it may have meant."""
    return " & ".join(
        f"{_quoted(word)}:*" if meant is None else f"({' | '.join(map(_quoted, meant))})" for word, meant in choices
    )


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.category(character).startswith("M"))


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
