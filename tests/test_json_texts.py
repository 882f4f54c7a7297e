"""JSON that is put together from columns reads back as what was told, whatever characters it is made of."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.json_texts import lists, numbers, objects, strings

AWKWARD = st.text(st.sampled_from('",\\:[]{}%s\x00\n\u2028é成😀') | st.characters(exclude_categories=["Cs"]), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(AWKWARD, max_size=5))
@example(['x",', "y"])
@example(['",', '"y', '"', ',"', "\\"])
@example(["", ""])
def test_texts_read_back_one_by_one(values):
    assert [json.loads(text) for text in strings(values)] == values


def test_rows_read_back_with_their_lists_and_numbers():
    ids, inner = ['m",', "%s"], [1.5, float("nan"), 1e22]
    told = objects({"id": strings(ids), "inner": lists(numbers(inner), [2, 1])})
    assert [json.loads(text) for text in told] == [{"id": 'm",', "inner": [1.5, None]}, {"id": "%s", "inner": [1e22]}]
