"""A declaration is read as it is meant, and a fault in it is one sentence with its key, the value, what is allowed and the line."""

import re
from datetime import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.declaration import load_community, load_declaration, parse_declaration
from models.errors import InputError

TEXT = """\
name: readers
timezone: Asia/Shanghai
log:
  path: events.csv
  member: member
  time: time
  type: type
signals:
  - name: posts
    event_types: [post, "on", no]
    label: {en: posts, zh: 发帖}
churn:
  horizons_days: [7, 30]
  horizon_days: 30
lifecycle:
  tiers:
    - name: base
      min_contributions: 0
      value: 1
      label: {en: base, zh: 基础}
interventions:
  - id: question
    label: {en: Question, zh: 提问}
    category: social
    lever: care
    channels: [push]
    cost: 1
    starting_uplift: 0.01
    starting_evidence: 1000
contact_policy:
  quiet_hours: {start: 21:30, end: 08:00}
"""


@pytest.fixture
def load(tmp_path):
    def from_text(content):
        path = tmp_path / "keepwell.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_declaration(path)

    return from_text


def changed(old, new):
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_words_and_hours_are_text_as_people_mean_them(load):
    community = load(TEXT).community
    assert community.signals[0].event_types == ("post", "on", "no")
    assert community.contact_policy.quiet_hours.start == time(21, 30)
    assert community.contact_policy.quiet_hours.end == time(8, 0)


def test_every_key_knows_its_line(load):
    lines = load(TEXT).lines
    assert lines["log", "time"] == 6
    assert lines["signals", 0, "event_types", 1] == 10
    assert lines["interventions", 0, "cost"] == 27


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("horizon_days: 30", "horizon_days: 31", "line 14: churn: horizon_days 31 must be one of horizons_days [7, 30]"),
        (
            "horizons_days: [7, 30]",
            "horizons_days: [30, 7]",
            "line 13: churn.horizons_days: [30, 7] must be rising whole days without repeats",
        ),
        ("  time: time", "  tiem: time", "line 6: log.tiem: unknown key; did you mean time? (1 more after it)"),
        ("lever: care", "lever: charm", "line 25: interventions.question.lever: \"charm\" is refused: input should be 'reciprocity', "),
        ("cost: 1", "cost: -1", "line 27: interventions.question.cost: -1 is refused: input should be greater than or equal to 0"),
        ("cost: 1", "costs: 1", "line 27: interventions.question.costs: unknown key; did you mean cost? (1 more after it)"),
        (
            "    category: social",
            "    category: social\n    colour: red",
            "line 25: interventions.question.colour: unknown key; allowed are id, label",
        ),
        ("name: readers", "name: readers\nlangauge: en", "line 2: langauge: unknown key; did you mean language?"),
        ("Asia/Shanghai", "Asia/Shangai", 'line 2: timezone: unknown time zone "Asia/Shangai"; use an IANA name'),
        ('"on", no]', "1]", 'line 10: signals.posts.event_types.2: 1 must be text; write it in quotes, "1"'),
        ("  type: type", "  type: type\n  type_is: post", "line 3: log: give exactly one of `type`"),
        ("name: posts", "name: posts\n    name: again", 'line 10: "name" is given again; it stands in line 9 already'),
        ("  path: events.csv", "\tpath: events.csv", "line 4: indented with a tab; YAML is indented with spaces"),
        ("label: {en: posts", "label: {en: posts: x", "line 11, column 12: what `{` begins here lacks a comma or its `}`; look at its end"),
        ("    cost: 1\n", "", "line 22: interventions.question.cost is missing"),
        (
            "    cost: 1\n",
            "    cost: 1\n    eligibility:\n      tiers: [base]\n      days_since:\n        - {signal: pots, at_least: 1}\n",
            "line 31: interventions.question.eligibility.days_since.1.signal: unknown signal 'pots'; declared are ['any', 'posts']",
        ),
        (
            "name: readers",
            "name: readers\ncurrency: rmb",
            'line 2: currency: "rmb" is refused: a currency is three capital letters as in ISO',
        ),
        ("id: question", "id: Ask me", 'line 22: interventions.Ask me.id: "Ask me" is refused: use small letters a to z, digits and _'),
        ("cost: 1", "cost: 1\n    context_weights: {actve: 2}", "line 28: interventions.question.context_weights.actve: "),
        ("[7, 30]", "7", "line 13: churn.horizons_days: 7 is refused: write a list, like [a, b]"),
        ("cost: 1", "cost: cheap", 'line 27: interventions.question.cost: "cheap" is refused: write a number'),
        (
            "label: {en: posts, zh: 发帖}",
            "label: posts",
            'line 11: signals.posts.label: "posts" is refused: write keys with values; allowed',
        ),
        ("21:30", "21", "line 31: contact_policy.quiet_hours.start: 21 is refused: write a time of day, like 08:30"),
        ("[push]", "[]", "line 26: interventions.question.channels: [] is refused: give 1 or more"),
        ("name: readers", "name:", "line 1: name is empty: write a text"),
        ("signals:\n", "signals: none\nsingals:\n", "line 9: singals: unknown key; did you mean signals? (1 more after it)"),
    ],
)
def test_a_fault_is_named_with_its_key_and_its_line(load, old, new, sentence):
    with pytest.raises(InputError) as fault:
        load(changed(old, new))
    assert str(fault.value).startswith(f"keepwell.yaml {sentence}")
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "keepwell.yaml is empty; `keepwell init"),
        ("# only a comment\n", "keepwell.yaml is empty"),
        ("- a\n- list\n", "keepwell.yaml line 1: must hold keys such as `name:` and `log:`, not '- a'"),
        ("just words", "keepwell.yaml line 1: must hold keys such as `name:` and `log:`, not 'just words'"),
        ("name: 中".encode("gb18030"), "keepwell.yaml is not UTF-8 (byte 6); save it as UTF-8"),
        ("name: !!python/object:os.system x", "keepwell.yaml line 1, column 7: a text cannot begin with `!`; put it in quotes"),
        ("name: *nothing", "keepwell.yaml line 1, column 7: a text cannot begin with `*`; put it in quotes"),
        ("name: \x00", "keepwell.yaml line 1, column 7: a character that cannot be written stands here"),
        ("? [a, b]\n: c", "keepwell.yaml line 1: a key must be a word, not a list or a mapping"),
        ("name: !!int label", "keepwell.yaml line 1, column 7: a value does not fit the type that is written before it"),
        ("name: !!bool maybe", "keepwell.yaml line 1, column 7: a value does not fit the type that is written before it"),
        ("name: !!seq label", "keepwell.yaml line 1, column 7: a value does not fit the type that is written before it"),
        ("name: !!timestamp label", "keepwell.yaml line 1, column 7: a text cannot begin with `!`"),
        pytest.param(f"name: {'9' * 5_000}", "keepwell.yaml: a number has more digits than can be read", id="many digits"),
        ("name: &all [*all]", "keepwell.yaml: its lists and keys go too deep, or one holds itself"),
        ("1: x", "keepwell.yaml line 1: "),
        ("name: a\n---\nname: b\n", "keepwell.yaml line 2, column 1: a second document begins here; take the line `---` out"),
    ],
)
def test_what_is_no_declaration_is_one_clear_sentence(load, content, sentence):
    with pytest.raises(InputError) as fault:
        load(content)
    assert str(fault.value).startswith(sentence)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("name: a: b\n", "line 1, column 8: a colon stands where no key can be; put a value that holds a colon in quotes"),
        ("name: x\nlog\nchurn: 1\n", "line 2, column 1: no colon follows this key; write `key: value`"),
        ("log:\n  path: a\n member: b\n", "line 3, column 2: this line is indented otherwise than its neighbours"),
        ("signals:\n  - name: p\n   event_types: [a]\n", "line 3, column 4: this line is indented otherwise"),
        ("name: x\nl: [a, b\nc: d\n", "line 2, column 4: the list that `[` begins here lacks a comma or its `]`"),
        ("name: x\nl: {a: b\n", "line 2, column 4: what `{` begins here lacks a comma or its `}`"),
        ("l: [a]]\n", "line 1, column 7: this closes what was never opened"),
        ("name: @x\n", "line 1, column 7: a text cannot begin with this character; put it in quotes"),
        ('a: 1\nname: "abc\nb: c\n', "line 2, column 7: the quotation mark that begins here is never closed"),
        ('name: "a" b\n', "line 1, column 11: a text goes on behind what is complete"),
        ('name: "C:\\q"\n', "line 1, column 11: a backslash in double quotes needs a second one"),
        ("a: - b\n", "line 1, column 4: an item of a list begins behind something else"),
        ("name: | x\n", "line 1, column 9: nothing but a line break can follow `|` or `>`"),
    ],
)
def test_a_slip_of_the_pen_is_told_with_line_and_column_and_what_to_look_at(load, content, sentence):
    with pytest.raises(InputError) as fault:
        load(content)
    assert str(fault.value).startswith(f"keepwell.yaml {sentence}")


@given(st.lists(st.sampled_from([*" \n:-[]{}'\"*&!|>%@,?#\\~", "key", "a: 1\n", "  - b", "---"]), max_size=12).map("".join))
def test_whatever_is_written_no_word_of_the_parser_is_told(content):
    try:
        parse_declaration(content, "keepwell.yaml")
    except InputError as fault:
        told = str(fault)
        assert "\n" not in told
        assert not any(word in told for word in ("while ", "expected ", "mapping v", "scanning", "token", "<block", "node", "stream"))


def test_a_missing_file_says_which_command_writes_one(tmp_path):
    with pytest.raises(InputError, match=r"keepwell.yaml does not exist; `keepwell init"):
        load_community(tmp_path / "keepwell.yaml")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder cannot be read"):
        load_community(tmp_path / "folder")


def test_a_byte_order_mark_makes_no_difference(load):
    assert load(TEXT.encode("utf-8-sig")).community == load(TEXT).community


def test_anchors_may_be_used(load):
    shared = yaml.safe_load(TEXT)
    text = TEXT.replace("label: {en: posts, zh: 发帖}", "label: &text {en: posts, zh: 发帖}").replace(
        "label: {en: base, zh: 基础}", "label: *text"
    )
    assert load(text).community.lifecycle.tiers[0].label.en == shared["signals"][0]["label"]["en"]


@pytest.mark.parametrize(
    ("capacity", "sentence"),
    [
        ("interventions: {cal: 3}", "capacity.interventions: unknown intervention 'cal'"),
        ("channels: {fax: 3}", "capacity.channels: unknown channel 'fax'"),
        ("channels: {email: -1}", "greater than or equal to 0"),
    ],
)
def test_a_capacity_is_of_something_that_is_declared(load, capacity, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        load(f"{TEXT}\ncapacity: {{{capacity}}}\n")


def test_texts_of_touches_stand_for_what_is_declared(load):
    touches = "touches: {path: touches.csv, member: m, time: t, arms: {Call A: cal, Nobody: none}}"
    with pytest.raises(InputError, match=re.escape("touches.arms: unknown intervention 'cal'; declared are ['none', ")):
        load(f"{TEXT}\n{touches}\n")
    found = load(f"{TEXT}\n{touches}\n".replace("Call A: cal", "Ask: question")).community
    assert found.touches.arms == {"Ask": "question", "Nobody": "none"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("propensities: {none: 0.5, question: 0.4}", "propensities: they add up to 0.9; give the probability of every arm"),
        ("propensities: {none: 0.5, question: 0.5}, propensity_prefix: p_", "give either propensities, the same for all rows, or"),
        ("propensities: {none: 0.5, cal: 0.5}", "touches.propensities: unknown intervention 'cal'"),
        ("propensities: {none: 1.0, question: 0.0}", "greater than 0"),
    ],
)
def test_probabilities_that_were_the_same_for_all_are_those_of_all_arms(load, given, told):
    with pytest.raises(InputError, match=re.escape(told)):
        load(f"{TEXT}\ntouches: {{path: touches.csv, member: m, time: t, {given}}}\n")
