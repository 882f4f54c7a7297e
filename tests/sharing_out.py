"""How the files of a test run are shared out between its processes: whole, the long ones first, so that none runs alone at the end."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

DEAR = "trained world and Spark"
ON_SPARK = ("test_distributed", "test_spark")
IN_THE_TRAINED_WORLD = {
    *("test_engine", "test_hostile_engines", "test_learned_uplift", "test_mlflow_serving", "test_policy_trial", "test_registry"),
    *("test_replaying", "test_snapshots", "test_training", "test_value"),
}
"""These and those that begin like ON_SPARK are run by one process: what is dear to make is made once for each."""

LONGEST = (
    *(DEAR, "test_cli", "test_compose", "test_real_logs", "test_service_end", "test_run", "test_proof_commands", "test_decided_parts"),
    *("test_service_rollouts", "test_service_workers", "test_morning_in_a_browser", "test_rollout_commands", "test_touches_told_twice"),
    *("test_documents", "test_backup", "test_notebooks", "test_rest_after_a_draw", "test_service_experiments", "test_simulated_trials"),
    *("test_service_durability", "test_replays", "test_closed_loop", "test_sampled_training"),
)
"""From the longest on; the others follow by the number of their tests."""


class SharedOut(LoadFileScheduling):
    """`--dist loadfile`, with files that belong together, and the long ones first."""

    def _split_scope(self, nodeid: str) -> str:
        name = PurePosixPath(nodeid.partition("::")[0]).stem
        return DEAR if name in IN_THE_TRAINED_WORLD or name.startswith(ON_SPARK) else name

    def _assign_work_unit(self, node: WorkerController) -> None:
        longest = min(self.workqueue, key=lambda scope: LONGEST.index(scope) if scope in LONGEST else len(LONGEST))
        self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)
