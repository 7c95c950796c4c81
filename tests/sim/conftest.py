"""The plugins that the simulations run with, and how many seeds of them."""

from collections.abc import Callable
from typing import Any

import pytest

from ralnode.api import Context, Planner, Provider
from ralnode.testing.world import Parts
from ralnode_gossip_swim import NullCipher, Swim, SwimOptions
from ralnode_planner_random import provide_planner as provide_random
from ralnode_planner_rarest import provide_planner as provide_rarest
from ralnode_planner_rendezvous import provide_planner as provide_rendezvous


def _planner(provider: Provider[Planner] | None) -> Callable[[Context], Planner]:
    assert provider is not None
    return lambda context: provider.build(context, provider.options())


def _swim(context: Context) -> Any:
    return Swim(context, SwimOptions())


def _swim_in_the_clear(context: Context) -> Any:
    """Without encryption: saves time where there are many nodes and nobody attacks."""
    return Swim(context, SwimOptions(), NullCipher)


def default_parts() -> Parts:
    return Parts(_swim, _planner(provide_rendezvous()))


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The defaults: SWIM and rendezvous."""
    return default_parts()


@pytest.fixture(scope="session")
def light_parts() -> Parts:
    """For many nodes."""
    return Parts(_swim_in_the_clear, _planner(provide_rendezvous()))


@pytest.fixture(scope="session")
def forgetful_parts() -> Parts:
    """Gossip that forgets the dead after a minute: a partition of minutes is then like one of days."""
    return Parts(lambda context: Swim(context, SwimOptions(dead_kept_seconds=60.0)), _planner(provide_rendezvous()))


@pytest.fixture(scope="session", params=["rarest", "random"])
def other_parts(request: pytest.FixtureRequest) -> Parts:
    """Planners that promise less than rendezvous."""
    provider = {"rarest": provide_rarest, "random": provide_random}[request.param]()
    return Parts(_swim, _planner(provider))
