from ralnode.testing.planner_contract import PlannerContract
from ralnode_planner_random import RandomPlanner


class TestRandom(PlannerContract):
    never_exceeds_copies = False

    def build(self) -> RandomPlanner:
        return RandomPlanner()
