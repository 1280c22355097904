import pytest

from training.evaluate import packages


def test_a_package_that_is_missing_is_told_with_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"no_such_judge: .*pip install .*\[training\]"):
        packages.imported("no_such_judge")
    assert packages.missing("json", "no_such_judge") == ["no_such_judge"]
    assert packages.imported("json").dumps([1]) == "[1]"
