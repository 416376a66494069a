"""What JSON has no word for is null, wherever it stands, and everything else is as it was."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from tokenfield.io.record import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)


def finite(data):
    if isinstance(data, dict):
        return all(map(finite, data.values()))
    return all(map(finite, data)) if isinstance(data, list) else not isinstance(data, float) or math.isfinite(data)


@given(VALUES)
def test_any_record_is_json(data):
    text = json_text(data)
    back = json.loads(text, parse_constant=lambda word: (_ for _ in ()).throw(AssertionError(word)))
    assert text.endswith("\n") and (back == data or not finite(data))


def test_infinite_scores_are_null():
    assert json.loads(json_text({"a": float("inf"), "b": [1.5, float("nan")], "c": (2,)})) == {
        "a": None, "b": [1.5, None], "c": [2]}
