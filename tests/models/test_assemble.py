"""What a model that reshore installs itself says of its size."""

import pytest

from reshore.errors import DiskFull
from reshore.models.assemble import assemble, parameter_size
from reshore.models.manifest import MODEL_TYPE
from reshore.models.names import parse_name
from reshore.models.store import Store
from tests.models.installing import tree


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, ""),
        (992, "992"),
        (1_500, "2K"),
        (134_515_008, "134.52M"),
        (8_000_000_000, "8B"),
        (8_030_261_248, "8.0B"),
        (1_026_000_000_000, "1.0T"),
    ],
)
def test_a_number_of_parameters_is_written_as_ollama_writes_it(count: int, written: str) -> None:
    assert parameter_size(count) == written


def test_a_disk_that_is_full_for_the_manifest_leaves_nothing(
    store: Store, tiny: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DiskFull("no space left on device")

    before = tree(store.root)
    model = store.blobs.add([tiny], MODEL_TYPE)
    monkeypatch.setattr(store, "save", full)
    with pytest.raises(DiskFull):
        assemble(store, parse_name("m"), model, source="test", licence="free")
    assert tree(store.root) == before
