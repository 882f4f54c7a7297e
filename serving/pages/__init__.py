"""What marketers see."""

from serving.pages import assets, audience, entrance, experiments, interventions, member, model, today

__all__ = ["PAGES", "assets", "audience", "entrance", "experiments", "interventions", "member", "model", "today"]

PAGES = (assets, entrance, today, audience, interventions, experiments, model, member)
