from ralnode_planner_random import RandomPlanner

from ralnode.testing.planner_contract import PlannerContract


class TestRandom(PlannerContract):
    never_exceeds_copies = False

    def build(self) -> RandomPlanner:
        return RandomPlanner()
