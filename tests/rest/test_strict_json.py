"""Reading and writing JSON without any HTTP around it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from api.rest import strict_json
from api.rest.strict_json import DuplicateKey, InvalidCharacter, JsonTooDeep, MalformedJson, StrictJSONProvider

if TYPE_CHECKING:
    from api.core.errors import DomainError

PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | PLAIN_TEXT
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(PLAIN_TEXT, inner), max_leaves=20)


@given(DOCUMENTS)
def test_whatever_json_can_say_is_read_as_it_was_written(document: object) -> None:
    assert strict_json.loads(json.dumps(document).encode()) == document


@given(st.binary(max_size=60))
def test_bytes_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    try:
        strict_json.loads(raw)
    except (MalformedJson, DuplicateKey, JsonTooDeep, InvalidCharacter) as refusal:
        assert refusal.problems  # noqa: PT017  # most bytes are refused, some are read; both are right


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        pytest.param(b'{"a":1,"a":1}', DuplicateKey, id="duplicate key"),
        pytest.param(b'[{"b":{"a":1,"x":2,"a":3}}]', DuplicateKey, id="duplicate key far down"),
        pytest.param(rb'{"a":1,"\u0061":2}', DuplicateKey, id="duplicate key in two spellings"),
        pytest.param(rb'{"\ud800":1,"\ud800":2}', DuplicateKey, id="duplicate key that is not text"),
        pytest.param(b"9" * 5000, MalformedJson, id="5,000 digits"),
        pytest.param(b"-" + b"9" * 5000, MalformedJson, id="minus 5,000 digits"),
        pytest.param(b"NaN", MalformedJson, id="NaN"),
        pytest.param(b'{"a":[Infinity]}', MalformedJson, id="Infinity"),
        pytest.param(b"-Infinity", MalformedJson, id="minus Infinity"),
        pytest.param(b"1e999", MalformedJson, id="a float beyond every double"),
        pytest.param(b"[" * 100_000, JsonTooDeep, id="a hundred thousand brackets"),
        pytest.param(b'{"a":' * 33 + b"1" + b"}" * 33, JsonTooDeep, id="33 objects"),
        pytest.param(b"\xef\xbb\xbf{}", MalformedJson, id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), MalformedJson, id="UTF-16"),
        pytest.param('{"a":1}'.encode("utf-32-le"), MalformedJson, id="UTF-32"),
        pytest.param(b'"\xc0\xaf"', MalformedJson, id="an overlong form"),
        pytest.param(b'"\xed\xa0\x80"', MalformedJson, id="a surrogate as bytes"),
        pytest.param(b'"a\x1fb"', MalformedJson, id="a raw control character"),
        pytest.param(b'"a\x00b"', MalformedJson, id="a raw NUL"),
        pytest.param(b"", MalformedJson, id="nothing"),
        pytest.param(rb'"\u0000"', InvalidCharacter, id="an escaped NUL"),
        pytest.param(rb'"\ud83d"', InvalidCharacter, id="half an emoji"),
        pytest.param(rb'"\ude00\ud83d"', InvalidCharacter, id="an emoji the wrong way round"),
        pytest.param(rb'{"a\udfff":1}', InvalidCharacter, id="half a pair in a key"),
    ],
)
def test_json_that_readers_disagree_on_is_refused(raw: bytes, refusal: type[DomainError]) -> None:
    with pytest.raises(refusal):
        strict_json.loads(raw)


def test_32_levels_are_read_and_33_are_not() -> None:
    assert strict_json.loads(b"[" * 32 + b"]" * 32)
    with pytest.raises(JsonTooDeep):
        strict_json.loads(b"[" * 33 + b"]" * 33)


def test_brackets_side_by_side_are_not_deep() -> None:
    assert len(strict_json.loads(b"[" + b"[]," * 1000 + b"{}]")) == 1001


def test_brackets_in_text_are_not_deep() -> None:
    assert strict_json.loads(b'"' + b"[" * 100 + b'"') == "[" * 100


def test_both_halves_of_a_pair_are_one_character() -> None:
    assert strict_json.loads(rb'"\ud83d\ude00"') == "\N{GRINNING FACE}"


def test_every_place_with_broken_text_is_named() -> None:
    with pytest.raises(InvalidCharacter) as refusal:
        strict_json.loads(rb'{"ok":"fine","a":["x","\u0000"],"b":{"\ud800":1}}')

    assert {problem.field for problem in refusal.value.problems} == {"a.1", r"b.\ud800"}


def test_decimals_are_written_as_text() -> None:
    assert StrictJSONProvider(Flask(__name__)).dumps({"price": Decimal("0.0010")}) == '{"price":"0.0010"}'


def test_what_has_no_json_form_is_not_written() -> None:
    with pytest.raises(TypeError):
        StrictJSONProvider(Flask(__name__)).dumps({"thing": object()})
