"""JSON that is put together from columns reads back as what was told, whatever characters it is made of."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.json_texts import columns, lists, numbers, objects, strings

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
    told = objects({"id": strings(ids), "of_all": '"100 % of 5"', "inner": lists(numbers(inner), [2, 1])})
    assert [json.loads(text) for text in told] == [
        {"id": 'm",', "of_all": "100 % of 5", "inner": [1.5, None]},
        {"id": "%s", "of_all": "100 % of 5", "inner": [1e22]},
    ]


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.none() | st.integers(-9, 9)), max_size=4))
def test_columns_of_numbers_read_back_each_in_its_place(rows):
    told = columns([number for number, _ in rows], [whole for _, whole in rows])
    assert list(zip(*([json.loads(text) for text in column] for column in told), strict=True)) == rows
