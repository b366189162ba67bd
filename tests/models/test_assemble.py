"""What a model that reshore installs itself says of its size."""

import pytest

from reshore.models.assemble import parameter_size


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
