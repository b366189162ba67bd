"""The routing state in force: routes and aliases by name."""

from reshore.routing.policy import Cloud, Local, Route
from reshore.routing.table import Table, View


def test_a_fine_tuned_id_finds_the_route_of_its_base() -> None:
    route = Route(pattern="ft:gpt-4o-mini:*", policy=Local())
    table = Table([Route(pattern="*", policy=Cloud()), route])
    assert table.match("ft:gpt-4o-mini:acme::1") is route


def test_routes_and_aliases_are_apart() -> None:
    table = Table([Route(pattern="a", policy=Cloud())], {"b*": "model:1"})
    assert table.match("bc") is None
    assert (table.alias("bc"), table.alias("a")) == ("model:1", None)


def test_nothing_set_is_version_0_and_routes_nothing() -> None:
    view = View()
    assert (view.number, view.override, view.table.match("a")) == (0, None, None)


def test_a_route_knows_its_policy_as_text() -> None:
    assert Route(pattern="a", policy=Cloud("b", "c")).text == "cloud:b/c"
