"""A community whose members are told of in the tests of texts, reasons and reports."""

from models.actions import Cap, ContactPolicy, Intervention
from models.community import Churn, Community, Lifecycle, Signal, Tier
from models.declared import Label
from models.rules import Eligibility
from models.sources import LogSource, TouchesSource


def intervention(name, en, zh, *, cost=0.0, channels=("wecom",), eligibility=None, **more):
    return Intervention(
        id=name,
        label=Label(en=en, zh=zh),
        category=more.pop("category", "incentive"),
        lever=more.pop("lever", "reciprocity"),
        channels=channels,
        cost=cost,
        starting_uplift=0.02,
        starting_evidence=100,
        eligibility=Eligibility(**(eligibility or {})),
        **more,
    )


CATALOGUE = (
    intervention("come_back_offer", "Come-back offer", "回归优惠", cost=3, eligibility={"min_days_silent": 7}),
    intervention("welcome_gift", "Welcome gift", "欢迎礼", cost=5, eligibility={"max_tenure_days": 3}),
    intervention(
        "content_digest",
        "Digest of the best posts",
        "精华内容摘要",
        channels=("email",),
        category="content",
        lever="curiosity",
        eligibility={"min_churn_probability": 0.1},
    ),
    intervention("ask_question", "A question to the member", "向成员提问", category="social", lever="competence"),
    intervention(
        "badge",
        "Recognition badge",
        "荣誉徽章",
        category="recognition",
        lever="status",
        eligibility={"tiers": ("koc", "kol"), "min_value": 500},
    ),
    intervention("call", "Personal call", "专人电话", cost=12, channels=("phone",), category="service", lever="care"),
)
SIGNALS = (
    Signal(name="comment", event_types=("comment",), label=Label(en="Comments", zh="评论")),
    Signal(name="post", event_types=("post",), label=Label(en="Posts", zh="发帖")),
    Signal(name="purchase", event_types=("purchase",), value="money", label=Label(en="Purchases", zh="购买")),
    Signal(name="rating", event_types=("rating",), value="quantity", qualifying=False, label=Label(en="Ratings", zh="评分")),
    Signal(name="read", event_types=("read",), qualifying=False, label=Label(en="Reads", zh="阅读")),
)
TIERS = (
    Tier(name="base", min_contributions=0, value=20, label=Label(en="Base", zh="基础")),
    Tier(name="koc", min_contributions=10, value=200, label=Label(en="Key contributor", zh="关键贡献者")),
    Tier(name="kol", min_contributions=40, value=800, label=Label(en="Opinion leader", zh="意见领袖")),
)


CONTACT_POLICY = ContactPolicy(
    caps=(Cap(name="weekly", max_contacts=2, days=7), Cap(name="calls", channel="phone", max_contacts=1, days=30))
)


def told_community(*, signals=SIGNALS, touches=True, churn=None, **more):
    return Community(
        name=more.pop("name", "Tea & Friends"),
        log=LogSource(path="log.csv", member="member", time="time", type="type", value="value"),
        touches=TouchesSource(path="touches.csv", member="member", time="time") if touches else None,
        signals=signals,
        churn=churn or Churn(),
        lifecycle=Lifecycle(tiers=TIERS),
        interventions=more.pop("interventions", CATALOGUE),
        contact_policy=more.pop("contact_policy", CONTACT_POLICY),
        **more,
    )
