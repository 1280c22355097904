"""The benchmark of identity runs and gives what it is for."""

from benchmarks import identity


async def test_it_measures_with_and_without(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(identity, "CALLS_A_BLOCK", 3)
    monkeypatch.setattr(identity, "MANY", 3)
    found = await identity.measure(2)
    assert set(found["cpu_us_a_call"]) == {"off", "token", "jwt"}
    assert all(one["p50"] > 0 for one in found["cpu_us_a_call"].values())
    assert set(found["check_us"]) == {"token", "jwt", "new_jwt"}
