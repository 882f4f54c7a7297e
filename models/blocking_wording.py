"""Why an intervention was kept from many members, in a sentence of no single one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from models.actions import CONTACT_RULES
from models.decision import ChurnStatus
from models.policy import GLOBAL_CONTROL, LOWER_PRIORITY, MANDATORY_FIRST, OUTBID
from models.refusal_wording import cap_sentence, eligibility_sentence, resting_days
from models.texts import text, window
from models.wording import inside

if TYPE_CHECKING:
    from models.community import Community
    from models.declared import Language

DRAWN = "drawn"
"""Nothing was better, but the draw picked something else, so that something is learned of it."""
_RULES = (GLOBAL_CONTROL, MANDATORY_FIRST, LOWER_PRIORITY, *OUTBID)
BLOCKING = (*CONTACT_RULES, *(rule.name for rule in _RULES), DRAWN)


def blocking_sentence(language: Language, intervention_id: str, rule: str, community: Community) -> str:
    """`rule` as decision tables write it, "stage:name"; the stage alone for a rule without a text. Small letters begin it."""
    stage, _, name = rule.partition(":")
    caps = {cap.name: cap for cap in community.contact_policy.caps}
    if stage == "eligibility" and name in get_args(ChurnStatus):
        return text(language, f"blocked.status.{name}")
    if stage == "eligibility":
        return inside(eligibility_sentence(language, intervention_id, name, community, None))
    if name in caps:
        return inside(cap_sentence(language, caps[name]))
    if name in BLOCKING:
        return text(language, f"blocked.{name}", window=window(language, resting_days(name, intervention_id, community)))
    return inside(text(language, f"removed.{stage}"))
