from ralnode.testing.planner_contract import PlannerContract
from ralnode_planner_rendezvous import RendezvousPlanner, provide_planner


class TestRendezvous(PlannerContract):
    def build(self) -> RendezvousPlanner:
        return RendezvousPlanner()


def test_it_is_provided_under_its_name() -> None:
    assert provide_planner().name == "rendezvous"
