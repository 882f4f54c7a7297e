"""`keepwell init` drafts a declaration that loads, fits the log and tells what was seen."""

import io
import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from models.catalogue import Pace, default_contact_policy, default_interventions, default_lifecycle, default_scenes, default_tiers
from models.declaration import load_community, parse_declaration
from models.declaration_text import declaration_text
from models.errors import InputError
from models.event_kinds import kind_of, signal_names
from models.intake import read_log
from models.rhythm import Rhythm
from pipelines.check import check
from pipelines.ingest import canonical_log
from pipelines.init import InitOptions, initialise
from pipelines.workspace import Workspace
from tests.written_logs import NOW, written

START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def init(tmp_path):
    def drafted(log, member="member", time="time", **options):
        said = io.StringIO()
        path = initialise(
            InitOptions(log, member, time, output=tmp_path / "keepwell.yaml", **options), Console(file=said, width=200), now=NOW
        )
        return load_community(path), path.read_text(encoding="utf-8"), said.getvalue()

    return drafted


def log_with(folder, kinds, days=300, members=20, value=None):
    """Every member does each kind of thing every fifth day."""
    rows = [
        (f"m{member}", (START + timedelta(days=day, hours=member)).isoformat(), kind, value if kind == "purchase" else None)
        for kind in kinds
        for member in range(members)
        for day in range(0, days, 5)
    ]
    path = folder / "events.csv"
    pl.DataFrame(rows, schema=["member", "time", "type", "amount"], orient="row", infer_schema_length=None).write_csv(path)
    return path


def test_types_become_signals_by_what_their_names_mean(tmp_path, init):
    log = log_with(tmp_path, ["post", "read", "purchase", "service_contact", "发帖", "any"], value=9.5)
    community, text, _ = init(log, type="type", value="amount", language="zh")
    seen = {signal.name: (signal.qualifying, signal.value, signal.label.zh) for signal in community.signals}
    assert seen == {
        "post": (True, "none", "post"),
        "发帖": (True, "none", "发帖"),
        "read": (False, "none", "阅读"),
        "purchase": (True, "money", "购买"),
        "service_contact": (False, "none", "客服联系"),
        "any_2": (True, "none", "any"),
    }
    assert community.value.source == "purchases"
    assert community.lifecycle.service_signals == ("service_contact",)
    assert "# In the log: any 1,200, post 1,200, purchase 1,200, read 1,200, service_contact 1,200, 发帖 1,200" in text


def test_where_members_only_read_reading_keeps_them(tmp_path, init):
    community, _, _ = init(log_with(tmp_path, ["read", "page_view"]), type="type")
    assert [signal.qualifying for signal in community.signals] == [True, True]


def test_the_rarest_of_too_many_types_share_a_signal(tmp_path, init):
    kinds = [f"act{number:02d}" for number in range(40)]
    community, _, _ = init(log_with(tmp_path, kinds, days=20, members=2), type="type")
    assert len(community.signals) == 32
    assert community.signals[-1].name == "other"
    assert {kind for signal in community.signals for kind in signal.event_types} == set(kinds)


def test_a_column_of_free_text_is_no_event_type(tmp_path, init):
    lines = "".join(f"ann,2025-01-01,words {number}\n" for number in range(1001))
    with pytest.raises(InputError, match="the type column holds 1,001 different values"):
        init(written(tmp_path, f"member,time,type\n{lines}"), type="type")


def test_horizons_that_the_log_is_too_short_for_are_left_out_and_said(tmp_path, init):
    community, text, said = init(log_with(tmp_path, ["post"], days=121), type_is="post")
    assert (community.churn.horizons_days, community.churn.horizon_days) == ((7, 30), 30)
    assert "horizons of 90 days are left out" in text
    assert "horizons of 90 days are left out" in said


@pytest.mark.parametrize(("days", "horizons"), [(300, (7, 30, 90)), (40, (7,)), (11, (3,))])
def test_a_log_holds_each_of_its_horizons_three_times(tmp_path, init, days, horizons):
    community, _, said = init(log_with(tmp_path, ["post"], days=days), type_is="post")
    assert community.churn.horizons_days == horizons
    assert "short for their rhythm" not in said


def test_ids_that_may_stand_for_several_people_are_told_at_once(tmp_path, init):
    _, text, said = init(written(tmp_path, "member,time\n8.61380E+10,2025-03-01\n[deleted],2025-03-02\n"), type_is="post")
    for shown in (text, said):
        assert "Look: 1 member has an id that lost its last digits, 8.61380E+10; export the ids as text" in shown
        assert 'Look: member "[deleted]" has 1 of 2 events' in shown


def every(gap, days=730, members=60):
    """Members who come every `gap` days, one after the other, at one hour."""
    begin = START - timedelta(days=days)
    return [(f"m{member}", begin + timedelta(days=member % gap + step)) for member in range(members) for step in range(0, days - gap, gap)]


@pytest.mark.parametrize(
    ("gap", "days", "horizons", "decided"),
    [
        (5, 730, (7, 30, 90), 30),
        (45, 730, (30, 90), 90),
        (120, 730, (90, 180), 180),
        (300, 1500, (90, 180), 180),
        (45, 200, (30,), 30),
    ],
)
def test_silence_is_counted_over_the_time_within_which_members_usually_come_back(tmp_path, init, gap, days, horizons, decided):
    rows = "".join(f"{member},{at.isoformat()}\n" for member, at in every(gap, days))
    community, text, said = init(written(tmp_path, f"member,time\n{rows}"), type_is="order")
    assert (community.churn.horizons_days, community.churn.horizon_days) == (horizons, decided)
    assert community.churn.active_days == max(30, decided)
    assert ("so silence of" in said) == ("so silence of" in text) == (gap != 5)
    assert ("90 days would fit it, of which the log is too short to learn" in said) == (days == 200)
    asked, _, told = init(tmp_path / "events.csv", type_is="order", churn_days=30, force=True)
    assert asked.churn.horizons_days == (30,)
    assert "so silence of" not in told


def test_each_member_counts_as_much_as_any_other_for_the_rhythm():
    often = [("daily", START + timedelta(days=day)) for day in range(730)]
    rows = pl.DataFrame(often + every(60), schema=["member_id", "timestamp"], orient="row").with_columns(type=pl.lit("post"))
    rhythm = Rhythm.of(rows, {"post"}, (30, 90))
    assert rhythm.returning == 61
    assert rhythm.within == {30: pytest.approx(1 / 61), 90: 1.0}
    assert Rhythm.of(rows, {"read"}, (30, 90)).within == {}
    assert Rhythm.of(rows.filter(pl.col("member_id") == "daily"), {"post"}, (30,)).within == {}


def test_rows_that_cannot_be_used_are_told_with_their_reason_and_days_by_the_clock_of_the_community(tmp_path, init):
    log = written(tmp_path, "member,time\nann,2025-03-01\n,2025-03-02\nbob,soon\ncid,2025-03-03\n,2025-03-03\n")
    _, text, said = init(log, type_is="post", timezone="Asia/Shanghai")
    for shown in (text, said):
        assert "2 events of 2 members, 2025-03-01 to 2025-03-03; 3 rows that cannot be used" in shown
        assert "Not used: 2 of 5 rows rejected: no member (line 3); give every row a member id." in shown
        assert 'Not used: 1 of 5 rows rejected: time "soon" cannot be read (line 4)' in shown


def test_a_column_of_counts_is_no_money_and_what_values_count_as_is_told(tmp_path, init):
    log = log_with(tmp_path, ["purchase", "post"], value=2)
    community, _, said = init(log, type="type", value="amount")
    assert (community.signals[1].value, community.value.source) == ("money", "purchases")
    assert '"amount" is money in purchase. Correct' in said
    counted = pl.read_csv(log).rename({"amount": "Quantity"})
    counted.write_csv(log)
    community, _, said = init(log, type="type", value="Quantity", force=True)
    assert (community.signals[1].value, community.value.source) == ("quantity", "tiers")
    assert '"Quantity" is a quantity in purchase. Correct' in said


def test_money_that_is_paid_back_is_money_and_a_refund_told_without_sign_is_none(tmp_path, init):
    rows = [
        (f"m{member}", START + timedelta(days=day), kind)
        for member in range(9)
        for day, kind in ((1, "order"), (3, "refund"), (200, "order"))
    ]

    def drafted(refund, back="refund"):
        lines = "".join(
            f"{member},{at.isoformat()},{kind.replace('refund', back)},{20 if kind == 'order' else refund}\n" for member, at, kind in rows
        )
        log = written(tmp_path, f"member,time,type,amount\n{lines}")
        community, _, _ = init(log, type="type", value="amount", force=True)
        return {signal.name: (signal.value, signal.qualifying, signal.label.en) for signal in community.signals}

    assert drafted(-5) == {"order": ("money", True, "orders"), "refund": ("money", False, "refunds")}
    assert drafted(5) == {"order": ("money", True, "orders"), "refund": ("quantity", False, "refunds")}
    assert drafted(-5, "cancelled") == {"order": ("money", True, "orders"), "cancelled": ("money", False, "cancelled")}
    assert drafted(5, "cancelled") == {"order": ("money", True, "orders"), "cancelled": ("quantity", False, "departures")}


def paying_club(folder, payments, others):
    """Thirty members of a year: `payments` of them pay at these moments of the day they joined on, and do `others`, each with its days."""
    months = [datetime(2025, month, 1, 3, tzinfo=UTC) for month in range(1, 13)]
    rows = [(f"m{member}", at + timedelta(days=member % 28), "payment", 15.0) for member in range(30) for at in payments(months, member)]
    for kind, days in others:
        rows += [(f"m{member}", START + timedelta(days=day, hours=member), kind, "") for member in range(30) for day in days]
    lines = "".join(f"{member},{at.isoformat()},{kind},{paid}\n" for member, at, kind, paid in rows)
    return written(folder, f"member,time,type,amount\n{lines}")


def test_a_monthly_fee_keeps_nobody_from_being_silent_and_init_says_so(tmp_path, init):
    def drafted(payments, *others):
        community, text, said = init(paying_club(tmp_path, payments, others), type="type", value="amount", force=True)
        told = '"payment" comes every month' in said
        assert told == ('# "payment" comes every month' in text)
        return {signal.name: (signal.qualifying, signal.value) for signal in community.signals}, told

    def missed(months, member):
        return [at for month, at in enumerate(months) if month != member % 12]

    def as_they_like(months, member):
        return [at + timedelta(days=(7 * month * (member + 1)) % 23) for month, at in enumerate(months)]

    posts, reads = ("post", range(0, 300, 5)), ("read", range(0, 300, 5))
    assert drafted(missed, posts) == ({"post": (True, "none"), "payment": (False, "money")}, True)
    assert drafted(as_they_like, posts) == ({"post": (True, "none"), "payment": (True, "money")}, False)
    assert drafted(missed, reads) == ({"read": (True, "none"), "payment": (False, "money")}, True)
    assert drafted(missed) == ({"payment": (True, "money")}, False)


def test_posts_of_every_month_are_no_fee(tmp_path, init):
    months = [datetime(2025, month, 1, tzinfo=UTC) for month in range(1, 13)]
    lines = "".join(f"m{member},{at.isoformat()},{kind}\n" for member in range(30) for at in months for kind in ("post", "like"))
    community, _, said = init(written(tmp_path, f"member,time,type\n{lines}"), type="type")
    assert [signal.qualifying for signal in community.signals] == [True, True]
    assert "every month" not in said


def test_a_type_after_which_nothing_comes_is_told_whatever_its_name(tmp_path, init):
    rows = [(f"m{member}", day, "0") for member in range(60) for day in range(0, 100 + member, 5)]
    left = [(f"m{member}", 300, "1") for member in range(25)]
    some = [(f"m{member}", 50, "2") for member in range(25)]
    lines = "".join(f"{member},{(START + timedelta(days=day)).isoformat()},{kind}\n" for member, day, kind in rows + left + some)
    log = written(tmp_path, f"member,time,type\n{lines}")
    _, text, said = init(log, type="type")
    for shown in (text, said):
        assert (
            'After "1" (25 members) hardly anybody does anything more: if that ends a membership, name it with --contract-event.' in shown
        )
    _, _, told = init(log, type="type", contract_event="1", force=True)
    assert "hardly anybody" not in told


def test_a_long_horizon_lengthens_windows_lookback_and_pace(tmp_path, init):
    community, _, _ = init(log_with(tmp_path, ["post"], days=545), type_is="post", churn_days=180, active_days=180)
    assert community.churn.horizons_days == (180,)
    assert community.windows_days == (7, 14, 30, 60, 90, 180, 365)
    assert community.lookback_days == 365
    assert (community.lifecycle.silent_days, community.lifecycle.lost_days) == (42, 180)
    assert community.intervention("question").cooldown_days == 84


def test_the_end_of_a_contract_is_churn_and_no_signal(tmp_path, init):
    log = log_with(tmp_path, ["visit", "quit"])
    community, _, _ = init(log, type="type", contract_event="quit")
    assert community.churn.contract_event == "quit"
    assert [signal.name for signal in community.signals] == ["visit"]
    with pytest.raises(InputError, match='--contract-event: unknown event type "stop"; the log has "quit", "visit"'):
        init(log, type="type", contract_event="stop", force=True)


def test_paths_start_at_the_folder_of_the_declaration(tmp_path, init):
    (tmp_path / "logs").mkdir()
    community, _, _ = init(log_with(tmp_path / "logs", ["post"]), type_is="post")
    assert community.log.path == "logs/events.csv"
    elsewhere = tmp_path / "a" / "b" / "keepwell.yaml"
    options = InitOptions(tmp_path / "logs" / "events.csv", "member", "time", type_is="post", output=elsewhere)
    initialise(options, Console(file=io.StringIO()), now=NOW)
    assert load_community(elsewhere).log.path == "../../logs/events.csv"
    assert canonical_log(Workspace.find(elsewhere), load_community(elsewhere), now=NOW).members.height == 20


def test_a_declaration_is_not_written_over_unless_forced(tmp_path, init):
    log = log_with(tmp_path, ["post"])
    init(log, type_is="post")
    with pytest.raises(InputError, match="exists; give --force"):
        init(log, type_is="post")
    init(log, type_is="post", force=True)


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    log = log_with(tmp_path, ["post"])
    options = InitOptions(log, "member", "time", type_is="post", output=log / "keepwell.yaml")
    with pytest.raises(InputError, match="cannot be written"):
        initialise(options, Console(file=io.StringIO()), now=NOW)


def test_without_a_type_every_row_is_an_activity_and_init_says_so(tmp_path, init):
    community, _, said = init(log_with(tmp_path, ["post", "comment"]))
    assert community.log.type_is == "activity"
    assert community.signals[0].event_types == ("activity",)
    assert 'every row counts as "activity"' in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"type": "type", "type_is": "post"}, "give either --type COL"),
        ({"type_is": "post", "joined": "joined"}, "--members FILE and --joined COL go together"),
        ({"type_is": "post", "timezone": "Mars"}, '--timezone: unknown time zone "Mars"'),
        ({"type_is": "post", "churn_days": 0}, "--churn-days: 0 must be whole days from 1"),
        ({"type_is": "post", "currency": "yuan"}, '--currency: "yuan" is no code'),
        ({"type_is": "post", "value": "price"}, 'log.value: no column "price"'),
    ],
)
def test_options_that_cannot_be_used_are_one_clear_sentence(tmp_path, init, options, sentence):
    with pytest.raises(InputError, match=sentence) as fault:
        init(log_with(tmp_path, ["post"]), **options)
    assert "\n" not in str(fault.value)
    assert not (tmp_path / "keepwell.yaml").exists()


@pytest.mark.parametrize("content", ["member,time\nann,2025-03-01\n", "会员,时间\n张三,2025-03-01\n"])
def test_a_log_of_one_event_is_drafted(tmp_path, init, content):
    member, time = content.splitlines()[0].split(",")
    community, _, _ = init(written(tmp_path, content), member, time, type_is="post")
    assert community.churn.horizons_days == (1,)


def test_members_and_touches_are_declared_with_the_columns_they_have(tmp_path, init):
    log = log_with(tmp_path, ["post"])
    ids = [f"m{number}" for number in range(20)]
    joined = [START.isoformat()] * 20
    pl.DataFrame({"member": ids, "joined": joined, "city": ["Bern", "Rom"] * 10, "fixed": ["x"] * 20}).write_csv(tmp_path / "members.csv")
    written(tmp_path, "member,timestamp,intervention,delivered,propensity_none\nm1,2025-02-01,none,no,1\n", "touches.csv")
    community, text, _ = init(log, type_is="post", members=tmp_path / "members.csv", joined="joined", touches=tmp_path / "touches.csv")
    assert community.members.attributes == ("city",)
    assert 'left out, as they hold one value, dates or free text: "fixed"' in text
    assert (community.touches.time, community.touches.delivered, community.touches.propensity_prefix) == (
        "timestamp",
        "delivered",
        "propensity_",
    )


def touches_of(folder, arms, header="member,sent,arm,channel"):
    """Each text of `arms` was assigned so many times, on the channel beside it."""
    rows = [
        f'm{number % 20},2025-0{number % 8 + 1}-02T09:00,"{text}",{channel}' for text, (n, channel) in arms.items() for number in range(n)
    ]
    return written(folder, "\n".join([header, *rows]) + "\n", "touches.csv")


def test_what_was_assigned_becomes_the_catalogue_and_words_for_nothing_are_told(tmp_path, init):
    arms = {"No E-Mail": (30, ""), "Discount 10%": (20, "email"), "八折券": (15, "sms"), "tips": (10, "email"), "Tips!": (5, "push")}
    log, touches = log_with(tmp_path, ["post"]), touches_of(tmp_path, arms)
    community, text, said = init(log, type_is="post", touches=touches)
    assert (community.touches.time, community.touches.intervention, community.touches.channel) == ("sent", "arm", "channel")
    ids = {"No E-Mail": "none", "Discount 10%": "discount_10", "八折券": "arm_3", "Tips!": "tips_5"}
    assert community.touches.arms == ids
    drafted = {one.id: (one.label.en, one.channels) for one in community.interventions}
    assert drafted == {
        "discount_10": ("Discount 10%", ("email",)),
        "arm_3": ("八折券", ("sms",)),
        "tips": ("tips", ("email",)),
        "tips_5": ("Tips!", ("push",)),
    }
    assert {cap.channel for cap in community.contact_policy.caps} == {"any", "sms", "email"}
    for shown in (text, said):
        assert '"sent" is read as the time, "arm" as what was assigned ("No E-Mail" as none' in shown
        assert "interventions: discount_10, arm_3, tips, tips_5 were found in the touches; their cost" in shown
    log = read_log(community, tmp_path, now=NOW).log
    assigned = dict(log.touches.group_by("intervention").len().iter_rows())
    assert assigned == {"none": 30, "discount_10": 20, "arm_3": 15, "tips": 10, "tips_5": 5}


@pytest.mark.parametrize(
    ("something", "nothing"), [("Yes", "No"), ("1.0", "0.0"), ("B", "Control group"), ("发券", "不发券"), ("drug", "Placebo")]
)
def test_words_of_trials_for_doing_nothing_are_known(tmp_path, init, something, nothing):
    touches = touches_of(tmp_path, {something: (20, "sms"), nothing: (20, "")})
    community, _, _ = init(log_with(tmp_path, ["post"]), type_is="post", touches=touches)
    assert community.touches.arms[nothing] == "none"
    assert len(community.interventions) == 1


def test_a_column_of_the_members_that_holds_their_arm_is_no_attribute(tmp_path, init):
    touches = touches_of(tmp_path, {"1": (20, "sms")})
    with touches.open("a", encoding="utf-8") as table:
        table.write("".join(f'm{number},2025-01-02T09:00,"0",\n' for number in range(20, 40)))
    rows = "".join(f"m{number},2025-01-01,{int(number < 20)},{number % 7}\n" for number in range(40))
    members = written(tmp_path, f"member,joined,treatment,age\n{rows}", "members.csv")
    community, text, _ = init(log_with(tmp_path, ["post"]), type_is="post", touches=touches, members=members, joined="joined")
    assert community.members.attributes == ("age",)
    assert 'members: column "treatment" is what was assigned, as the touches tell it, so it is left out.' in text


def test_arms_that_are_as_common_are_drafted_in_one_order(tmp_path, init):
    names = ["丁", "丙", "乙", "甲", "call", "letter"]
    touches = touches_of(tmp_path, dict.fromkeys(names, (20, "sms")))
    community, _, _ = init(log_with(tmp_path, ["post"]), type_is="post", touches=touches)
    assert community.touches.arms == {name: f"arm_{place}" for place, name in enumerate(sorted(names), start=1) if not name.isascii()}


def test_columns_of_touches_can_be_named_and_a_table_without_control_is_told(tmp_path, init):
    log = log_with(tmp_path, ["post"])
    touches = touches_of(tmp_path, {"a": (20, "email"), "b": (20, "sms")}, header="member,when_sent,what,how")
    community, text, _ = init(log, type_is="post", touches=touches, touch_time="when_sent", touch_arm="what")
    assert (community.touches.time, community.touches.intervention, community.touches.arms) == ("when_sent", "what", {})
    assert [one.id for one in community.interventions] == ["a", "b"]
    assert "None of it seems to mean doing nothing" in text


@pytest.mark.parametrize("arm", ["treatment_group", "treatment_flg"])
def test_what_was_assigned_is_found_under_the_names_of_published_trials(tmp_path, init, arm):
    touches = touches_of(tmp_path, {"control": (20, ""), "treatment": (20, "sms")}, header=f"member,sent,{arm},channel")
    community, _, _ = init(log_with(tmp_path, ["post"]), type_is="post", touches=touches)
    assert (community.touches.intervention, community.touches.arms) == (arm, {"control": "none"})


@pytest.mark.parametrize(
    ("header", "options", "told"),
    [
        ("member,sent,what,channel", {}, "which column holds what was assigned? Name it with --touch-arm COL; it has member, sent, what"),
        ("member,seen,arm,channel", {}, "which column holds the time of the assignment? Name it with --touch-time COL"),
        ("member,one,arm,channel", {}, "arm, channel; where all were assigned at one time, add a column that holds it in each row"),
        ("member,sent,arm,channel", {"touch_arm": "Arm"}, 'no column "Arm" (--touch-arm); it has member, sent, arm'),
        ("who,sent,arm,channel", {}, 'no column "member" (--member); it has who'),
    ],
)
def test_touches_that_cannot_be_read_are_refused_with_what_to_do(tmp_path, init, header, options, told):
    log = log_with(tmp_path, ["post"])
    touches = touches_of(tmp_path, {"none": (20, ""), "call": (20, "phone")}, header=header)
    with pytest.raises(InputError, match=re.escape(told)):
        init(log, type_is="post", touches=touches, **options)
    assert not (tmp_path / "keepwell.yaml").exists()


def test_more_campaigns_than_a_catalogue_holds_leave_the_usual_one_and_are_told(tmp_path, init):
    touches = touches_of(tmp_path, {f"campaign {number}": (1, "sms") for number in range(41)})
    community, text, _ = init(log_with(tmp_path, ["post"]), type_is="post", touches=touches)
    assert community.touches.arms == {}
    assert "content_digest" in {one.id for one in community.interventions}
    assert "41 different texts are too many for a catalogue; say under touches.arms which ids they stand for" in text


def test_columns_of_touches_go_with_their_table(tmp_path, init):
    with pytest.raises(InputError, match="--touch-arm: there is no table of touches"):
        init(log_with(tmp_path, ["post"]), type_is="post", touch_arm="arm")


def test_the_draft_of_the_purchases_of_cdnow_fits_them(shared_data, init):
    log = shared_data / "cdnow" / "cdnow_master.csv.gz"
    community, text, _ = init(log, "customer_id", "date", type_is="purchase", value="amount", churn_days=180, active_days=180)
    assert "Seen: 69,659 events of 23,570 members, 1997-01-01 to 1998-06-30; 0 rows that cannot be used" in text
    assert (community.signals[0].value, community.value.source, community.value.value_days) == ("money", "purchases", 180)


def test_the_draft_for_the_spanish_newcomers_leaves_out_what_was_measured_at_the_end(shared_data, init, tmp_path):
    folder = shared_data / "wikipedia_newcomers_es"
    options = {"members": folder / "members_es.csv.gz", "joined": "registered", "churn_days": 28, "active_days": 28}
    community, text, said = init(folder / "edits_es.csv.gz", "member_id", "time", type_is="edit", **options)
    assert community.members.attributes == ()
    assert 'column "edit_count_at_query" was measured at the end' in text
    assert 'column "edit_count_at_query" was measured at the end' in said
    assert check(Workspace.find(tmp_path), Console(file=io.StringIO()), now=NOW) == 0


@given(st.integers(1, 3650))
def test_the_catalogue_fits_every_pace(horizon):
    pace = Pace(horizon)
    tiers = default_tiers([1, 1, 50])
    scenes = default_scenes(pace, tiers, 275, born="birthday")
    assert [scene.name for scene in scenes] == ["welcome", "gone_quiet", "gone", "birthday", "tier_reached"]
    for interventions in (default_interventions(pace), default_interventions(pace, scenes)):
        assert len(interventions) >= 8
        assert {name for one in interventions for name in one.eligibility.scenes or ()} <= {scene.name for scene in scenes}
    lifecycle = default_lifecycle(pace, tiers)
    assert lifecycle.silent_days < lifecycle.lost_days
    assert [tier.min_contributions for tier in lifecycle.tiers] == [0, 1, 2, 50]


MEMBERS = "member,joined,birthday,timezone\n" + "".join(
    f"m{number},2024-12-{1 + number:02d},19{60 + number}-05-{1 + number:02d},Asia/Tokyo\n" for number in range(20)
)


def test_scenes_are_drafted_for_what_the_tables_hold_and_interventions_that_wait_for_them(tmp_path, init):
    members = tmp_path / "members.csv"
    members.write_text(MEMBERS)
    log = log_with(tmp_path, ["post", "purchase"], value=9.5)
    community, _, _ = init(log, type="type", value="amount", members=members, joined="joined")
    scenes = {scene.name: scene for scene in community.scenes}
    assert list(scenes) == ["welcome", "gone_quiet", "gone", "birthday", "tier_reached"]
    assert (scenes["welcome"].after_first, scenes["welcome"].open_hours) == ("purchase", 24)
    assert (scenes["gone_quiet"].after_silence_days, scenes["gone"].after_silence_days) == (7, 30)
    assert scenes["birthday"].on_date == "birthday"
    assert community.members.timezone == "timezone"
    assert community.intervention("welcome_gift").eligibility.scenes == ("welcome",)
    assert community.intervention("comeback_offer").eligibility.statuses == ("scored", "already_churned")
    kept = canonical_log(Workspace.find(tmp_path), community, now=NOW).members
    assert kept.select("birthday", "timezone").row(0) == ("1960-05-01", "Asia/Tokyo")


def test_without_purchases_and_birthdays_the_first_event_of_any_kind_is_welcomed(tmp_path, init):
    community, _, _ = init(log_with(tmp_path, ["post", "read"]), type="type")
    assert [scene.name for scene in community.scenes] == ["welcome", "gone_quiet", "gone", "tier_reached"]
    assert community.scenes[0].after_first == "any"


def test_starting_uplifts_are_modest_and_cover_every_category_and_the_levers_named():
    catalogue = default_interventions(Pace(30))
    assert all(0.005 <= intervention.starting_uplift <= 0.03 for intervention in catalogue)
    assert {intervention.category for intervention in catalogue} == {"incentive", "content", "social", "recognition", "service"}
    assert len({intervention.lever for intervention in catalogue}) == 8
    assert {cap.channel for cap in default_contact_policy(catalogue).caps} <= {"any", *(name for one in catalogue for name in one.channels)}


def test_a_declaration_written_as_text_is_read_back_the_same(tmp_path, init):
    community, text, _ = init(log_with(tmp_path, ["post", "no", "on", "1"]), type="type")
    assert parse_declaration(text, "keepwell.yaml").community == community
    assert parse_declaration(declaration_text(community, {}), "again").community == community
    assert all(len(line) <= 160 for line in text.splitlines())


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("thread_reply", "act"),
        ("readArticle", "passive"),
        ("thread", "act"),
        ("PageView", "passive"),
        ("order_paid", "purchase"),
        ("refund", "service"),
        ("cancel_subscription", "leaving"),
        ("浏览商品", "passive"),
        ("product_rating", "rating"),
        ("quack", "act"),
    ],
)
def test_names_of_types_are_understood_by_their_words(name, role):
    assert kind_of(name).role == role


def test_signal_names_can_begin_the_name_of_a_feature():
    assert signal_names(["any", "touch", "a b", "a:b", "", "点赞", "x" * 100]) == [
        "any_2",
        "touch_2",
        "a_b",
        "a_b_2",
        "event",
        "点赞",
        "x" * 40,
    ]
