"""The benchmark of HTTP runs and gives what it is for."""

from benchmarks import http


async def test_it_measures_all_three_ways() -> None:
    found = await http.measure(2)
    assert set(found["first_audio_ms"]) == {"grpc", "http", "websocket"}
    assert all(one["p50"] > 0 for one in found["first_audio_ms"].values())
    assert {"http_adds_ms", "websocket_adds_ms"} <= set(found)
