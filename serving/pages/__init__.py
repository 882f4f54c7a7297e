"""What marketers see."""

from serving.pages import assets, audience, campaign, entrance, experiments, interventions, member, model, monitor, planner, today

__all__ = ["PAGES"]

PAGES = (assets, entrance, today, audience, planner, campaign, interventions, experiments, model, monitor, member)
