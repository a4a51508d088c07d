"""Words: the same for an item and for those who look for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.items import wording


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Regency cakestand 3 tier", ["regency", "cakestand", "3", "tier"]),
        ("AB-12/x", ["ab", "12", "x"]),
        ("Crème BRÛLÉE", ["creme", "brulee"]),
        ("Straße İstanbul", ["strasse", "istanbul"]),
        ("cake, cake & CAKE", ["cake"]),
        ("½ ﬁne", ["1", "2", "fine"]),
        ("чай 茶", ["чаи", "茶"]),
        ("\u1fb3 \u0391\u0399 \u0345", ["\u03b1\u03b9", "\u03b9"]),  # an iota below a letter, and beside it
        ("snake_case", ["snake", "case"]),
        (" ¿?!… ", []),
    ],
)
def test_a_text_is_split_into_plain_words(text: str, words: list[str]) -> None:
    assert wording.split(text) == words


def test_an_item_is_found_by_its_sku_in_parts_and_as_one() -> None:
    words = wording.words_of(sku="AB-12", name="Tea pot", barcode="96385074", category="Ware", tags=["blue", "tea"])

    assert words == ["ab", "12", "ab12", "96385074", "tea", "pot", "ware", "blue"]


def test_words_have_bounds() -> None:
    words = wording.words_of(
        sku="S", name=" ".join(f"w{n}" for n in range(100)) + " " + "x" * 99, barcode=None, category=None, tags=()
    )

    assert len(words) == wording.MOST_WORDS
    assert wording.split("x" * 99) == ["x" * 64]
    assert wording.asked(" ".join("abcdefghijkl")) == list("abcdefgh")


@given(st.text())
def test_a_word_is_itself_when_it_is_split_again(text: str) -> None:
    for word in wording.split(text):
        assert wording.split(word) == [word]
        assert 0 < len(word) <= wording.LONGEST_WORD
        assert word.isalnum()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=64))
def test_whatever_letter_case_a_word_is_typed_in_it_is_the_same(text: str) -> None:
    assert wording.split(text.casefold()) == wording.split(text)
