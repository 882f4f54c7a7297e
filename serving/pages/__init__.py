"""What marketers see."""

from serving.pages import assets, audience, entrance, experiments, member, today

__all__ = ["PAGES", "assets", "audience", "entrance", "experiments", "member", "today"]

PAGES = (assets, entrance, today, audience, experiments, member)
