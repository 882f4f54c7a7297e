"""What marketers see."""

from serving.pages import assets, audience, campaign, entrance, experiments, interventions, member, model, planner, today

__all__ = ["PAGES", "assets", "audience", "campaign", "entrance", "experiments", "interventions", "member", "model", "planner", "today"]

PAGES = (assets, entrance, today, audience, planner, campaign, interventions, experiments, model, member)
