"""What marketers see."""

from serving.pages import assets, audience, entrance, member, today

__all__ = ["PAGES", "assets", "audience", "entrance", "member", "today"]

PAGES = (assets, entrance, today, audience, member)
