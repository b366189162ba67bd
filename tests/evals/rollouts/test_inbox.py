"""What requests hand over: in order, bounded, and only where a rollout wants it."""

from __future__ import annotations

from msgspec.structs import replace

from reshore.evals.rollouts.inbox import Inbox
from reshore.routing.paired import Paired
from tests.evals.rollouts.driven import CLOUD, LOCAL, NAME, attempt, ended


def filled(**bounds: int) -> Inbox:
    inbox = Inbox(lambda: None, **bounds)
    inbox.watch(frozenset({NAME}))
    return inbox


def request(number: int = 1, **changes):
    return ended(f"r{number}", "cloud", wall_s=5.0, version=3, **changes)


def copy(**changes):
    return attempt("local", role="shadow", **changes)


def sides(inbox: Inbox) -> list[str]:
    return [item.answered.side for item in inbox.take()]


def test_a_request_tells_of_its_side_its_version_and_its_time():
    inbox = filled()
    inbox.record(request())
    [seen] = inbox.take()
    assert (seen.route, seen.version, seen.arrived_s) == (NAME, 3, 5.0)
    assert list(inbox.take()) == []


def test_a_copy_is_known_by_its_request_whichever_ends_first():
    inbox = filled()
    inbox.record(request(1))
    inbox.record_late("r1", copy())
    inbox.record_late("r2", copy())
    inbox.record_late("unknown", copy())
    inbox.record(request(2))
    assert sides(inbox) == ["cloud", "local", "cloud", "local"]


def test_nothing_is_kept_where_nothing_runs():
    woken = []
    inbox = Inbox(lambda: woken.append(1))
    inbox.record(request())
    inbox.record_late("r1", copy())
    inbox.pair(pair())
    assert (list(inbox.take()), woken) == ([], [])


def test_what_is_of_no_use_is_left_out():
    inbox = filled()
    private = request()
    inbox.record(replace(private, decision=replace(private.decision, private=True)))
    inbox.record(replace(private, path="/v1/responses"))
    inbox.record(replace(private, decision=None))
    inbox.record(request(name="gpt-4o"))
    inbox.record_late("r1", attempt("cloud", role="judge"))
    inbox.pair(pair(source="compare"))
    inbox.pair(pair(route="gpt-4o"))
    assert list(inbox.take()) == []


def test_it_takes_no_more_than_it_has_room_for_and_says_so_once(caplog):
    inbox = filled(waiting=2, remembered=1, early=1)
    for number in range(3):
        inbox.record(request(number))
    assert (len(list(inbox.take())), inbox.lost) == (2, 1)
    assert list(inbox.take()) == []
    [record] = caplog.records
    assert record.getMessage().startswith("1 requests")
    inbox.record_late("r0", copy())
    inbox.record_late("r1", copy())
    assert sides(inbox) == ["local"]
    inbox.record_late("x", copy())
    inbox.record_late("y", copy())
    assert sides(inbox) == []
    inbox.record(request(0))
    assert sides(inbox) == ["cloud"]


def pair(**changes) -> Paired:
    given = {"route": NAME, "source": "shadow", "arrived_s": 5.0, "verdict": "tie", **changes}
    return Paired(request_id="r1", local=LOCAL, cloud=CLOUD, **given)
