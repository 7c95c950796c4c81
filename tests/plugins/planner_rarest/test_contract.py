from ralnode.testing.planner_contract import PlannerContract
from ralnode_planner_rarest import RarestPlanner


class TestRarest(PlannerContract):
    never_exceeds_copies = False
    covers_at_once = False

    def build(self) -> RarestPlanner:
        return RarestPlanner()
