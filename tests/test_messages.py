import re
from datetime import date
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from models.actions import CONTACT_RULES, ContactPolicy, Intervention
from models.blocking_wording import BLOCKING, blocking_sentence
from models.community import Churn
from models.decision import Candidate, ChurnScore, ChurnStatus, MemberState, RemovalStage, RiskBand
from models.declared import STAGES, TAGS, Label
from models.eligibility import ELIGIBILITY_KEYS
from models.features import feature_spec
from models.policy import GLOBAL_CONTROL, LOWER_PRIORITY, MANDATORY_FIRST, OUTBID
from models.readings import Status, Subject
from models.reason_groups import reason_groups
from models.refusal_wording import Standing, removal_sentence
from models.report_choice import State
from models.reports import TOUCH_STATES, Response
from models.rules import Scene
from models.sources import MembersSource
from models.texts import (
    LANGUAGES,
    Count,
    calendar_day,
    duration,
    listed,
    messages,
    money,
    moneys,
    named,
    names_things,
    number,
    plural,
    points,
    price,
    share,
    text,
    window,
    with_counts,
)
from models.wording import inside, natural_frequency, risk_sentence, status_sentence, uplift_sentence
from tests.told_community import CATALOGUE, told_community
from tests.told_community import intervention as told_intervention

ROOT = Path(__file__).parents[1]
NO_ACTION_REASONS = (
    "do_nothing_is_best",
    "nothing_allowed",
    "outbid",
    "global_control",
    "insufficient_history",
    "already_churned",
    "explored_nothing",
    "opted_out",
    "contact_refused",
)


BOUNDED = ("days_since", "days_since_assigned", "counts")


def stem(key):
    return re.sub(r"\.(one|other)$", "", key)


def placeholders(sentence):
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def formats(sentence):
    return {form for _, _, form, _ in Formatter().parse(sentence) if form}


def choices(field):
    return get_args(Intervention.model_fields[field].annotation)


def declared_keys():
    """Keys that are put together when the program runs, from the types that name their members."""
    plain, quantity = told_community(), told_community(touches=False)
    groups = [group for world in (plain, quantity) for group in reason_groups(world, feature_spec(world)).groups]
    wordings = {shown.wording for group in groups for shown in group.shown}
    return {
        *(f"reason.{wording}.{variant}" for wording in wordings for variant in ("low", "high", "none")),
        *(f"stage.{stage}" for stage in STAGES),
        *(f"tag.{tag}" for tag in TAGS),
        *(f"band.{band}" for band in get_args(RiskBand)),
        *(f"status.{status}" for status in (*get_args(ChurnStatus), "already_ended") if status != "scored"),
        *(f"no_action.{reason}" for reason in NO_ACTION_REASONS),
        *(f"removed.{stage}" for stage in get_args(RemovalStage)),
        *(f"rule.{rule}" for rule in (*CONTACT_RULES, *(rule.name for rule in (GLOBAL_CONTROL, MANDATORY_FIRST, *OUTBID)))),
        *(f"rule.{key}" for key in set(ELIGIBILITY_KEYS) - {"statuses", *BOUNDED}),
        *(f"rule.status.{status}" for status in get_args(ChurnStatus)),
        *(f"rule.{key}.{kind}" for key in BOUNDED for kind in ("at_least", "at_most", "between")),
        *(f"lever.{lever}" for lever in choices("lever")),
        *(f"category.{category}" for category in choices("category")),
        *(f"evidence.{source}" for source in ("prior", "experiment", "observational")),
        *(f"uplift_source.{source}" for source in ("prior", "experiment", "observational")),
        *(f"report.{state}" for state in get_args(State)),
        *(f"grade.{grade}" for grade in "ABC"),
        *(f"model_page.{lead}.{grade}" for lead in ("lead", "lead_contract") for grade in "ABC"),
        *(f"blocked.{rule}" for rule in BLOCKING),
        *(f"blocked.status.{status}" for status in get_args(ChurnStatus)),
        *(f"{family}.{code}.{part}" for family, code in written_codes() for part in ("found", "todo")),
        *(f"monitor.{code}.{part}" for code in watched_codes() for part in ("title", "said", "limit", "todo")),
        *(f"monitor.{code}.means" for code in watched_codes() if f"monitor.{code}.means" in messages("en")),
        *(f"monitor.note.{note}" for note in ("seen_before", "under_limits", "impossible")),
        *(f"monitor.subject.{subject}" for subject in get_args(Subject)),
        *(f"monitor.status.{status}" for status in get_args(Status)),
        *(f"touch_state.{state}" for state in (*TOUCH_STATES, *get_args(Response))),
        *(f"unit.{form}" for sentence in messages("en").values() for form in formats(sentence) if names_things(form)),
    }


def written_codes():
    """Of faults and findings, where the code that makes them names them."""
    written = sources()
    told = {
        tuple(key.split(".")[:2]) for key in map(stem, messages("en")) if key.startswith(("fault.", "finding.")) and key.endswith(".found")
    }
    return {(family, code) for family, code in told if f'"{code}"' in written}


def watched_codes():
    """Of readings, likewise."""
    written = sources()
    return {
        key.split(".")[1]
        for key in map(stem, messages("en"))
        if re.fullmatch(r"monitor\.\w+\.said", key) and f'"{key.split(".")[1]}"' in written
    }


def sources():
    files = [
        path for floor in ("models", "pipelines", "serving") for suffix in ("py", "html") for path in (ROOT / floor).rglob(f"*.{suffix}")
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def test_both_languages_have_the_same_texts():
    english, chinese = ({stem(key) for key in messages(language)} for language in LANGUAGES)
    assert english == chinese


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_choice_by_number_has_the_forms_of_its_language(language):
    forms = {
        stem(key): {other for other in messages(language) if stem(other) == stem(key)}
        for key in messages(language)
        if key.endswith(".other")
    }

    expected = ("one", "other") if language == "en" else ("other",)
    assert all(found == {f"{key}.{form}" for form in expected} for key, found in forms.items())


def test_both_languages_say_the_same_things():
    english, chinese = messages("en"), messages("zh")
    differing = {
        key
        for key in chinese
        if placeholders(chinese[key]) - {"signal", "signal_first"} != placeholders(english[key]) - {"signal", "signal_first"}
    }
    assert differing == set()


def test_every_text_is_used_and_every_used_text_exists():
    written = sources()
    free = ("channel.", "currency.", "attribute.")
    keys = {stem(key) for key in messages("en") if not key.startswith(free)}
    declared = declared_keys()
    assert declared <= keys
    assert {key for key in keys - declared if f'"{key.removesuffix("_contract")}"' not in written} == set()


def test_every_text_asked_for_by_name_exists():
    families = "|".join(sorted({key.split(".")[0] for key in messages("en")}))
    asked = {name for name in re.findall(rf'"((?:{families})\.[a-z_.]+)"', sources()) if not name.endswith((".css", ".html"))}
    assert asked
    assert asked <= {stem(key) for key in messages("en")}


@pytest.mark.parametrize(
    ("days", "english", "chinese"),
    [
        (0.02, "less than an hour", "不到1小时"),
        (0.05, "1 hour", "1小时"),
        (0.99, "23 hours", "23小时"),
        (1.9, "1 day", "1天"),
        (21.4, "21 days", "21天"),
    ],
)
def test_a_duration_is_told_in_whole_days_or_hours(days, english, chinese):
    assert duration("en", days) == english
    assert duration("zh", days) == chinese


@pytest.mark.parametrize(
    ("value", "english", "chinese"),
    [
        (0, "0", "0"),
        (2, "2", "2"),
        (2.34, "2.3", "2.3"),
        (9.96, "10", "10"),
        (12.6, "13", "13"),
        (12_345, "12,345", "12,345"),
        (1_234_567, "1,234,567", "123.5万"),
    ],
)
def test_numbers_are_written_as_each_language_writes_them(value, english, chinese):
    assert number("en", value) == english
    assert number("zh", value) == chinese


@pytest.mark.parametrize(
    ("value", "currency", "english", "chinese"),
    [
        (3, "CNY", "CN¥3", "¥3"),
        (3.5, "CNY", "CN¥3.50", "¥3.50"),
        (44.07, "CNY", "CN¥44", "¥44"),
        (-3.5, "USD", "−\u2060$3.50", "−US$3.50"),
        (1234.56, "EUR", "€1,235", "€1,235"),
        (12.4, "JPY", "¥12", "JP¥12"),
        (-0.001, "GBP", "£0", "£0"),
        (7.9, "CHF", "CHF 7.90", "CHF 7.90"),
    ],
)
def test_money_carries_its_currency(value, currency, english, chinese):
    assert money("en", value, currency) == english
    assert money("zh", value, currency) == chinese


def test_beside_a_large_amount_none_becomes_nothing():
    assert moneys("en", (25.3, 0.5, -0.4, 0.001), "CNY") == ["CN¥25", "CN¥0.50", "−CN¥0.40", "CN¥0"]


@pytest.mark.parametrize(
    ("value", "currency", "written"),
    [
        (12, "CNY", "CN¥12"),
        (12.5, "CNY", "CN¥12.50"),
        (0.5, "CNY", "CN¥0.50"),
        (0.035, "CNY", "CN¥0.035"),
        (0.1 + 0.2, "CNY", "CN¥0.30"),
        (0.99999, "CNY", "CN¥1"),
        (0, "CNY", "CN¥0"),
        (12.4, "JPY", "¥12"),
        (0.5, "JPY", "¥0.50"),
    ],
)
def test_a_price_is_written_as_it_was_declared(value, currency, written):
    assert price("en", value, currency) == written


def test_small_words_follow_the_number():
    assert [plural("en", "unit.times", n) for n in (1, 2)] == ["once", "2 times"]
    assert [window("en", n) for n in (1, 30)] == ["day", "30 days"]
    assert plural("zh", "unit.times", 1) == "1次"
    assert points("en", -0.04) == "0.0 pp"
    assert points("zh", 11.24) == "+11.2个百分点"
    assert [share(value) for value in (0, 0.001, 0.414, 0.999, 1)] == ["0%", "<1%", "41%", ">99%", "100%"]
    assert calendar_day("en", date(2026, 11, 2)) == "2 Nov 2026"
    assert calendar_day("zh", date(2026, 11, 2)) == "2026年11月2日"


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["1 member", "2,000 members", "1 day", "30 days", "2,000", "30"]),
        ("zh", ["1位成员", "2,000位成员", "1天", "30天", "2,000", "30"]),
    ],
)
def test_a_count_in_a_sentence_names_its_things_in_the_right_number(language, told):
    formats = ((1, "members"), (2000, "members"), (1, "days"), (30, "days"), (2000, ","), (30, "g"))
    assert [f"{Count(language, value):{form}}" for value, form in formats] == told


@pytest.mark.parametrize(
    ("key", "counts", "one", "many"),
    [
        ("planner.rules_lead", ["n"], "1 contact.", "7 contacts."),
        ("planner.worth_it", ["n"], "for 1 member", "for 7 members"),
        ("planner.confirm_lead", ["contacted"], "about 1 member,", "about 7 members,"),
        ("campaign.succeeded", ["n"], "1 member to be", "7 members to be"),
        ("campaign.succeeded_dry", ["n"], "1 member would", "7 members would"),
        ("campaign.cancelled", ["n"], "1 member had", "7 members had"),
        ("interventions.verdict.act", ["n"], "1 contact.", "7 contacts."),
        ("community_report.waits", ["members"], "1 member so", "7 members so"),
        ("community_report.moved", ["gone"], "1 member fell", "7 members fell"),
        ("model_page.input_note", ["events", "members", "rejected"], "1 row rejected", "7 rows rejected"),
    ],
)
def test_what_a_page_says_of_one_is_said_of_one(key, counts, one, many):
    others = dict.fromkeys(placeholders(messages("en")[key]), "x")
    for count, told in ((1, one), (7, many)):
        assert told in text("en", key, **others | dict.fromkeys(counts, Count("en", count)))


def test_only_whole_numbers_are_counts():
    told = with_counts("en", {"members": 3, "share": 0.5, "met": True, "name": "x"})
    assert told == {"members": Count("en", 3), "share": 0.5, "met": True, "name": "x"}


@pytest.mark.parametrize("part", ["monitor", "proof", "finding", "fault"])
def test_what_is_kept_with_its_figures_agrees_with_them_in_number(part):
    """A plural noun right after a bare number would stay one where the number is 1."""
    nouns = "days|members|rows|groups|assignments|decisions|contacts"
    told = {key: sentence for key, sentence in messages("en").items() if key.startswith(f"{part}.") and not key.endswith(".other")}
    assert {key for key, sentence in told.items() if re.search(rf"\{{\w+(:,)?\}} (\w+ )?({nouns})\b", sentence)} == set()


def test_a_list_of_nothing_says_so():
    assert listed("en", []) == "none"
    assert listed("zh", ["评论", "发帖"]) == "评论、发帖"


def test_a_name_that_only_the_community_knows_is_shown_as_declared():
    assert named("en", "channel", "wecom_group") == "WeCom group"
    assert named("zh", "channel", "village_square") == "village square"


@pytest.mark.parametrize(
    ("label", "within"), [("Comments", "comments"), ("WeCom chats", "WeCom chats"), ("KOL posts", "KOL posts"), ("评论", "评论"), ("", "")]
)
def test_a_label_loses_only_the_capital_that_begins_it(label, within):
    assert inside(label) == within


def test_a_risk_is_told_as_a_natural_frequency():
    community = told_community()
    assert risk_sentence("en", 0.43, 0.18, 30, community) == "43 of 100 members like this one go silent in the next 30 days (usual: 18)"
    assert risk_sentence("zh", 0.43, 0.18, 30, community) == "每100位类似的成员中有43位会在未来30天内沉默（通常为18位）"
    assert risk_sentence("en", 0.01, 0.18, 1, community) == "1 of 100 members like this one goes silent in the next day (usual: 18)"


def test_rare_risks_are_told_of_a_thousand_and_never_as_none_or_all():
    assert natural_frequency("en", 0.004, 0.02).n == "4"
    assert natural_frequency("en", 0.004, 0.02).typical == "20"
    community = told_community()
    assert risk_sentence("en", 0.0001, 0.18, 30, community).startswith("Fewer than 1 of 1,000 members like this one go silent")
    assert risk_sentence("en", 0.9999, 0.18, 30, community).startswith("More than 99 of 100 members")
    assert risk_sentence("zh", 0.0001, 0.18, 30, community) == "每1,000位类似的成员中有不到1位会在未来30天内沉默（通常为180位）"


def test_where_a_contract_ends_a_membership_members_leave_and_do_not_fall_silent():
    community = told_community(churn=Churn(contract_event="cancel"))
    assert "leave in the next 30 days" in risk_sentence("en", 0.43, 0.18, 30, community)
    assert "离开" in risk_sentence("zh", 0.43, 0.18, 30, community)
    assert "left already" in status_sentence("en", ChurnScore("already_churned", 30), community)


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_says_how_many_fall_silent_has_a_twin_for_contracts_that_end(language):
    told = messages(language)
    silence = {"en": r"(expected|about|would|this one) (to )?go(es)? silent|[Ee]xpected to go silent", "zh": r"(会|内|预计)沉默|即将沉默"}[
        language
    ]
    for key, said in told.items():
        base, _, last = key.rpartition(".")
        twin = f"{base}_contract.{last}" if last in {"A", "B", "C", "one", "other"} else f"{key}_contract"
        if re.search(silence, said) and key != "page.sign_in_lead":
            assert twin in told, key
            assert not re.search(silence, told[twin])
            assert re.findall(r"{\w+}", told[twin]) == re.findall(r"{\w+}", said)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("status", ["insufficient_history", "already_churned", "opted_out"])
def test_a_member_without_a_number_gets_a_sentence(language, status):
    sentence = status_sentence(language, ChurnScore(status, 30), told_community())
    assert sentence.endswith((".", "。"))


def test_an_effect_is_told_of_a_hundred_members_with_its_interval():
    assert uplift_sentence("en", 0.06, (0.01, 0.11)) == "Of 100 members like this one, about 6 more would stay (90% interval: 1 to 11)"
    assert (
        uplift_sentence("en", -0.02, (-0.04, 0.0))
        == "Of 100 members like this one, about 2 fewer would stay (90% interval of the change: −4 to 0)"
    )


def removed(intervention, stage, rule):
    return Candidate(intervention, "wecom", 0.02, (0.0, 0.04), "prior", 180.0, 1.0, 1.0, 3.0, 0.6, removed_at=stage, rule=rule)


MEMBER = MemberState("silent", "base", (), 182.0, 78.3, 400.0, 2.5)


@pytest.mark.parametrize(
    ("intervention", "stage", "rule", "english", "chinese"),
    [
        (
            "come_back_offer",
            "eligibility",
            "min_days_silent",
            "Only after 7 days without activity (this member: 2 days)",
            "至少7天没有活跃才可用（该成员：2天）",
        ),
        (
            "welcome_gift",
            "eligibility",
            "max_tenure_days",
            "Only up to 3 days of membership (this member: 400 days)",
            "加入不超过3天才可用（该成员：400天）",
        ),
        (
            "badge",
            "eligibility",
            "tiers",
            "Only for members in the tiers Key contributor, Opinion leader (this member: Base)",
            "只用于关键贡献者、意见领袖层级的成员（该成员：基础）",
        ),
        (
            "badge",
            "eligibility",
            "min_value",
            "Only from a value of CN¥500 on (this member: CN¥182)",
            "价值达到¥500才可用（该成员：¥182）",
        ),
        (
            "call",
            "contact_policy",
            "calls",
            "At most 1 contact in 30 days (Phone), which is used up",
            "电话在30天内最多1次联系，额度已用完",
        ),
        (
            "call",
            "contact_policy",
            "weekly",
            "At most 2 contacts in 7 days (all channels), which is used up",
            "所有渠道合计在7天内最多2次联系，额度已用完",
        ),
        (
            "call",
            "contact_policy",
            "cooldown_days",
            "Given within the last 14 days already, its resting time",
            "最近14天内已经用过，还在间隔期",
        ),
        ("call", "contact_policy", "opted_out", "The member does not want contact on this channel", "该成员不希望通过这个渠道被联系"),
        (
            "call",
            "control",
            "global_control",
            "The member belongs to the control group, which no campaign contacts",
            "该成员属于对照组，任何活动都不会联系",
        ),
        ("call", "arbitration", "something_new", "Another choice came first", "另有更优先的选择"),
    ],
)
def test_a_refusal_names_its_rule_with_the_bound_and_where_the_member_stands(intervention, stage, rule, english, chinese):
    standing = Standing(MEMBER, 0.43)
    candidate = removed(intervention, stage, rule)
    assert removal_sentence("en", candidate, standing, told_community()) == english
    assert removal_sentence("zh", candidate, standing, told_community()) == chinese


RULES = {
    "scenes": ["birthday", "welcome"],
    "no_tags": ["interest_decay"],
    "consents": ["special_offers"],
    "channels": ["wecom", "phone"],
    "attributes": {"region": ["north", "south"]},
    "days_since": [
        {"signal": "purchase", "at_least": 30},
        {"signal": "any", "at_most": 3},
        {"signal": "post", "at_least": 1, "at_most": 9},
    ],
    "days_since_assigned": [{"intervention": "badge", "at_least": 60}],
    "counts": [{"signal": "comment", "days": 7, "at_least": 3}, {"signal": "any", "days": 30, "at_most": 2}],
    "max_churn_probability": 0.2,
    "max_value": 100,
}


@pytest.mark.parametrize(
    ("stage", "rule", "english", "chinese"),
    [
        (
            "eligibility",
            "no_tags",
            "Not for members marked Interest is fading (this member: none)",
            "不用于带有兴趣减退标签的成员（该成员：无）",
        ),
        ("eligibility", "scenes", "Only on the occasion: Birthday, Welcome, once each time", "只在以下时机使用，每逢只用一次：生日、欢迎"),
        ("eligibility", "consents", "Only with the member's consent: special offers", "须经成员同意才可用：special offers"),
        (
            "eligibility",
            "channels",
            "Only for members who can be reached on: WeCom, Phone",
            "只用于可通过以下渠道联系到的成员：企业微信、电话",
        ),
        ("eligibility", "attributes.region", "Only where region is north, south", "只用于地区为north、south的成员"),
        ("eligibility", "days_since.purchase", "Only without purchases in the last 30 days", "最近30天内没有购买才可用"),
        ("eligibility", "days_since.any", "Only with any activity in the last 3 days", "最近3天内有任何活动才可用"),
        ("eligibility", "days_since.post", "Only with the last of posts 1 day to 9 days ago", "最近一次发帖在1天至9天之前才可用"),
        (
            "eligibility",
            "days_since_assigned.badge",
            'Only where "Recognition badge" was not given in the last 60 days',
            "最近60天内没有用过“荣誉徽章”才可用",
        ),
        ("eligibility", "counts.comment.7", "Only from 3 of comments in the last 7 days on", "最近7天内评论至少3次才可用"),
        ("eligibility", "counts.any.30", "Only up to 2 of any activity in the last 30 days", "最近30天内任何活动不超过2次才可用"),
        ("eligibility", "max_churn_probability", "Only up to a risk of 20% (this member: 43%)", "风险不超过20%才可用（该成员：43%）"),
        ("eligibility", "max_value", "Only up to a value of CN¥100 (this member: CN¥182)", "价值不超过¥100才可用（该成员：¥182）"),
        ("eligibility", "scored", "Only for members whose risk is not told", "只用于没有风险数字的成员"),
        (
            "eligibility",
            "opted_out",
            "Only for members whose risk is known; this member has switched personalisation off",
            "只用于风险已知的成员；该成员已关闭个性化",
        ),
        ("contact_policy", "opted_out", "The member does not want contact on this channel", "该成员不希望通过这个渠道被联系"),
        ("contact_policy", "refused_before", "Refused by the member within the last 60 days", "该成员最近60天内拒绝过"),
        (
            "contact_policy",
            "refused_recently",
            "The member refused something within the last 7 days and is left alone for now",
            "该成员最近7天内有过拒绝，暂不打扰",
        ),
        (
            "contact_policy",
            "drawn_recently",
            "Within the last 28 days the member was drawn to get something or to be left alone; until that is over, nothing else is sent",
            "该成员最近28天内参加过随机抽取（抽中动作或不触达），期满之前不再安排其他动作",
        ),
        ("contact_policy", "unreachable", "The member cannot be reached on this channel", "无法通过这个渠道联系到该成员"),
        ("contact_policy", "no_consent", "The member has not agreed to contact on this channel", "该成员没有同意通过这个渠道被联系"),
        ("arbitration", "mandatory_first", "Something that has to be sent comes first", "必须发送的内容优先"),
    ],
)
def test_every_kind_of_rule_is_told_in_both_languages(stage, rule, english, chinese):
    source = MembersSource(path="m.csv", member="m", joined="j", consents={"special_offers": "likes_offers"})
    ruled = told_intervention("ruled", "Ruled", "规则", eligibility=RULES, channels=("wecom", "phone"), refusal_cooldown_days=60)
    scenes = (
        Scene(name="welcome", label=Label(en="Welcome", zh="欢迎"), after_first="purchase", within_hours=24),
        Scene(name="birthday", label=Label(en="Birthday", zh="生日"), on_date="born", within_days=2),
    )
    policy = ContactPolicy(refusal_cooldown_days=7, draw_cooldown_days=28)
    community = told_community(members=source, interventions=(ruled, *CATALOGUE), contact_policy=policy, scenes=scenes)
    candidate, standing = removed("ruled", stage, rule), Standing(MEMBER, 0.43)
    assert removal_sentence("en", candidate, standing, community) == english
    assert removal_sentence("zh", candidate, standing, community) == chinese


def test_doing_nothing_can_be_ruled_out_by_what_has_to_be_sent():
    nothing = removed("none", "arbitration", "mandatory_first")
    assert removal_sentence("en", nothing, Standing(MEMBER, 0.43), told_community()) == "Something that has to be sent comes first"


def test_an_unknown_key_is_a_fault():
    with pytest.raises(KeyError):
        text("en", "no.such.text")


@pytest.mark.parametrize(
    ("rule", "english", "chinese"),
    [
        ("eligibility:max_tenure_days", "only up to 3 days of membership", "加入不超过3天才可用"),
        ("eligibility:already_churned", "gone already, so there is nothing left to prevent", "已经流失，没有可挽回的风险"),
        (
            "contact_policy:weekly",
            "at most 2 contacts in 7 days (all channels), which is used up",
            "所有渠道合计在7天内最多2次联系，额度已用完",
        ),
        ("contact_policy:cooldown_days", "had it within the last 14 days, its resting time", "最近14天内用过，还在间隔期"),
        ("control:global_control", "belong to the control group, which no campaign contacts", "属于对照组，任何活动都不会联系"),
        ("arbitration:something_new", "another choice came first", "另有更优先的选择"),
    ],
)
def test_what_kept_many_members_out_is_told_without_any_one_of_them(rule, english, chinese):
    assert blocking_sentence("en", "welcome_gift", rule, told_community()) == english
    assert blocking_sentence("zh", "welcome_gift", rule, told_community()) == chinese


def test_every_rule_that_can_keep_a_member_out_has_a_sentence_for_many():
    rules = {rule.name for rule in (GLOBAL_CONTROL, MANDATORY_FIRST, LOWER_PRIORITY, *OUTBID)}
    assert {*CONTACT_RULES, *rules} <= set(BLOCKING)
