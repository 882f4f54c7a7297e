"""What the usual names of event types mean, to draft signals that a person then corrects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from models.declared import Label

if TYPE_CHECKING:
    from collections.abc import Iterable

Role = Literal["act", "purchase", "passive", "service", "rating", "leaving"]


@dataclass(frozen=True)
class Kind:
    """English stems begin a word of the type's name; Chinese ones stand anywhere in it."""

    role: Role
    label: Label
    stems: tuple[str, ...]
    chinese: tuple[str, ...]

    def names(self, words: list[str], text: str) -> bool:
        return any(word.startswith(self.stems) for word in words) or any(stem in text for stem in self.chinese)


KINDS = (
    Kind(
        "leaving",
        Label(en="departures", zh="退出"),
        ("cancel", "unsubscrib", "churn", "deactivat", "terminat"),
        ("退订", "注销", "退群", "退会"),
    ),
    Kind(
        "service",
        Label(en="service contacts", zh="客服联系"),
        ("service", "support", "complain", "ticket", "helpdesk"),
        ("客服", "投诉", "工单", "售后"),
    ),
    Kind("service", Label(en="refunds", zh="退款"), ("refund",), ("退款", "退货")),
    Kind("rating", Label(en="ratings", zh="评分"), ("rating", "rate", "nps", "csat", "satisfaction"), ("评分", "满意度", "打分")),
    Kind("passive", Label(en="reads", zh="阅读"), ("read",), ("阅读",)),
    Kind("passive", Label(en="views", zh="浏览"), ("view", "brows", "impression", "seen", "exposure"), ("浏览", "查看", "曝光")),
    Kind("purchase", Label(en="purchases", zh="购买"), ("purchas", "buy", "bought", "sale"), ("购买", "消费", "复购")),
    Kind("purchase", Label(en="orders", zh="订单"), ("order", "transaction", "checkout"), ("订单", "下单")),
    Kind(
        "purchase",
        Label(en="payments", zh="支付"),
        ("pay", "recharg", "topup", "invoice", "bill", "charg", "renew"),
        ("支付", "付款", "充值", "续费", "账单"),
    ),
    Kind("purchase", Label(en="donations", zh="捐赠"), ("donat", "tip"), ("捐", "打赏")),
    Kind("act", Label(en="comments", zh="评论"), ("comment", "reply", "repli"), ("评论", "回复")),
    Kind("act", Label(en="posts", zh="发帖"), ("post", "publish", "thread", "topic"), ("发帖", "发布", "帖子")),
    Kind("act", Label(en="reactions", zh="互动"), ("reaction", "react", "vote", "upvote", "emoji"), ("互动", "投票")),
    Kind("act", Label(en="likes", zh="点赞"), ("like", "favo"), ("点赞", "收藏")),
    Kind("act", Label(en="shares", zh="分享"), ("share", "repost", "retweet", "forward"), ("分享", "转发")),
    Kind("act", Label(en="messages", zh="消息"), ("message", "chat", "dm"), ("消息", "聊天", "私信")),
    Kind("act", Label(en="questions", zh="提问"), ("question", "ask"), ("提问",)),
    Kind("act", Label(en="answers", zh="回答"), ("answer",), ("回答",)),
    Kind("act", Label(en="reviews", zh="评价"), ("review",), ("评价", "测评")),
    Kind("act", Label(en="edits", zh="编辑"), ("edit", "commit"), ("编辑",)),
    Kind("act", Label(en="visits", zh="访问"), ("login", "logon", "signin", "visit", "session", "open"), ("登录", "访问")),
    Kind("act", Label(en="check-ins", zh="签到"), ("checkin",), ("签到", "打卡")),
    Kind("act", Label(en="invitations", zh="邀请"), ("invit", "referr"), ("邀请",)),
    Kind("act", Label(en="activities", zh="活动记录"), ("activit",), ("活动记录",)),
    Kind("act", Label(en="event attendances", zh="参加活动"), ("attend", "rsvp", "meetup"), ("活动", "报名")),
)


def kind_of(event_type: str) -> Kind:
    """The first kind whose stem the name holds; an unknown name is an act under its own name."""
    words = re.findall(
        r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", event_type).lower().replace("check_in", "checkin").replace("log_in", "login")
    )
    known = next((kind for kind in KINDS if kind.names(words, event_type)), None)
    return known or Kind("act", Label(en=event_type, zh=event_type), (), ())


def signal_names(event_types: Iterable[str]) -> list[str]:
    """Names that may begin the name of a feature: word characters alone, at most 40, none twice and none that features use themselves."""
    taken = {"any", "touch", "other"}
    names = []
    for event_type in event_types:
        name = stem = re.sub(r"\W+", "_", event_type).strip("_")[:40] or "event"
        number = 2
        while name in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        names.append(name)
    return names
