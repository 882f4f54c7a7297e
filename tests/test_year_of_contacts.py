"""A year of daily decisions whose contacts are fed back: no limit is ever passed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, starmap

import numpy as np
import polars as pl
import pytest

from models.community import DAY_US
from models.interventions import ContactHistory
from models.snapshots import Snapshots
from models.weighing import Weighed, weigh
from tests.planted import AS_OF_US, Member, arrays, community, engine, intervention

PEOPLE, YEAR = 15, 365
CAPS = [
    {"name": "any_week", "max_contacts": 2, "days": 7},
    {"name": "any_month", "max_contacts": 5, "days": 30},
    {"name": "email_week", "channel": "email", "max_contacts": 1, "days": 7},
    {"name": "sms_month", "channel": "sms", "max_contacts": 1, "days": 30},
]
ARMS = (
    intervention("offer", channels=["sms", "email"], cooldown_days=10, refusal_cooldown_days=40),
    intervention("digest", channels=["email", "push"], cooldown_days=3),
    intervention("note", channels=["push"], starting_uplift=0.05),
    intervention("terms", channels=["email"], message_class="mandatory", cooldown_days=90, eligibility={"attributes": {"plan": ["paid"]}}),
    intervention(
        "receipt",
        channels=["email"],
        message_class="transactional",
        cooldown_days=5,
        eligibility={"counts": [{"signal": "read", "days": 1, "at_least": 1}]},
    ),
)
RECEIPT = len(ARMS)
POLICY = {"caps": CAPS, "refusal_cooldown_days": 6, "quiet_hours": {"start": "21:00", "end": "08:00"}}


class Year:
    """Decisions once a day at odd hours, with contacts of another system among them; every contact is told to the next day."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.declared = community(
            *ARMS,
            contact_policy=POLICY,
            policy={"exploration": 0.1, "control_share": 0.2},
            members={"path": "members.csv", "member": "m", "joined": "j"},
        )
        lives = [
            Member(YEAR + 200.0, {"post": sorted(self.rng.uniform(0, YEAR + 100, 200)), "read": list(self.rng.uniform(0, YEAR, 40))})
            for _ in range(PEOPLE)
        ]
        plans = pl.DataFrame({"plan": ["paid", "free", None] * (PEOPLE // 3)})
        self.events = replace(arrays(lives, self.declared), rule_columns=plans)
        self.reads = [self.events.timestamp_us[at][self.events.signal[at] == 1] for at in starmap(slice, pairwise(self.events.offsets))]
        self.planted = engine(self.declared, PEOPLE)
        self.made: list[tuple[int, int, str, str, str]] = []
        self.due: list[tuple[bool, bool]] = []

    def due_receipts(self, now: int) -> list[bool]:
        """Who read in the last day and got no receipt in the last five."""
        read = [np.diff(self.reads[row].searchsorted([now - DAY_US, now])).item() > 0 for row in range(PEOPLE)]
        rests = {who for who, at, _, name, _ in self.made if name == "receipt" and at > now - 5 * DAY_US}
        return [wants and row not in rests for row, wants in enumerate(read)]

    def history(self) -> ContactHistory:
        columns = list(zip(*self.made, strict=True)) or [()] * 5
        kinds = (np.int64, np.int64, str, str, str)
        member, at_us, channel, name, response = (np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True))
        return ContactHistory(member, at_us, channel, name, response=response)

    def decide(self, now: int) -> Weighed:
        ids = [f"m{row}" for row in range(PEOPLE)]
        as_of = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now)
        snapshots = Snapshots.at(self.events, now)
        return weigh(self.planted, self.events, snapshots, ids, [f"{now}-{name}" for name in ids], self.history(), as_of=as_of)

    def live(self) -> None:
        for day in range(YEAR):
            now = AS_OF_US - (YEAR - day) * DAY_US + int(self.rng.integers(DAY_US // 2))
            weighed = self.decide(now)
            self.due += zip(self.due_receipts(now), (weighed.chosen == RECEIPT).tolist(), strict=True)
            for row in np.flatnonzero(weighed.chosen):
                arm = weighed.chosen[row] - 1
                channel = self.declared.channels[weighed.channel[row, arm]]
                answer = self.rng.choice(["", "accepted", "refused"], p=[0.7, 0.2, 0.1])
                self.made.append((int(row), now, channel, self.declared.interventions[arm].id, str(answer)))
            if self.rng.random() < 0.2:
                self.made.append((int(self.rng.integers(PEOPLE)), now + DAY_US // 3, "sms", "campaign of elsewhere", ""))


@pytest.fixture(scope="module")
def year() -> Year:
    lived = Year(5)
    lived.live()
    return lived


def of_member(year: Year, row: int, names=None, channel=None, ours=False) -> np.ndarray:
    rows = [
        at
        for who, at, where, name, _ in sorted(year.made)
        if who == row and (names is None or name in names) and channel in (None, where) and not (ours and name == "campaign of elsewhere")
    ]
    return np.array(rows, dtype=np.int64)


@pytest.mark.parametrize("cap", CAPS, ids=lambda cap: cap["name"])
def test_no_days_wherever_they_begin_hold_more_of_our_contacts_than_a_cap_allows(year, cap):
    """A contact of elsewhere may fill a window that was already full: what may not be is that one of ours does."""
    counted, channel = ("offer", "digest", "note", "terms", "campaign of elsewhere"), cap.get("channel")
    full = 0
    for row in range(PEOPLE):
        every, ours = of_member(year, row, counted, channel), of_member(year, row, counted, channel, ours=True)
        for at in ours:
            before = ((every > at - cap["days"] * DAY_US) & (every < at)).sum()
            assert before < cap["max_contacts"]
            full += before == cap["max_contacts"] - 1
    assert full > 10


def test_what_rests_is_not_given_again_and_what_was_refused_rests_longer(year):
    refused = {(who, at): name for who, at, _, name, answer in year.made if answer == "refused"}
    for row in range(PEOPLE):
        for arm in year.declared.interventions:
            gaps = np.diff(of_member(year, row, (arm.id,)))
            assert (gaps >= arm.cooldown_days * DAY_US).all()
        refusals = [(at, name) for (who, at), name in refused.items() if who == row]
        for at, name in refusals:
            later = of_member(year, row, ("offer", "digest", "note", "terms")) - at
            assert not ((later > 0) & (later < 6 * DAY_US)).any()
            if name == "offer":
                again = of_member(year, row, ("offer",)) - at
                assert not ((again > 0) & (again < 40 * DAY_US)).any()


def test_the_control_gets_nothing_but_what_has_to_be_sent(year):
    weighed = year.decide(AS_OF_US)
    held = np.flatnonzero(weighed.control)
    assert len(held)
    assert {name for who, _, _, name, _ in year.made if who in held} <= {"receipt", "terms", "campaign of elsewhere"}
    assert any(name == "receipt" and who in held for who, _, _, name, _ in year.made)


def test_a_receipt_goes_out_whenever_it_is_due_however_full_the_caps_are(year):
    assert all(due == sent for due, sent in year.due)
    assert sum(due for due, _ in year.due) > 100


def test_terms_reach_those_who_pay_and_nobody_else(year):
    """Every 90 days and the days for which the caps were full."""
    for row in range(PEOPLE):
        assert len(of_member(year, row, ("terms",))) in ((4, 5) if row % 3 == 0 else (0,))
