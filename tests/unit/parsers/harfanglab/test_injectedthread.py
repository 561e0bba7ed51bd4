"""Injected threads of HarfangLab."""

from tests.support import harfanglab_fields as mapped

THREAD = {
    "log_type": "injectedthread",
    "process_image": "C:\\v.exe",
    "process_id": 12,
    "thread_id": "345",
    "region_dump": "c850",
}
ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "injectedthread",
    "event.category": ["process"],
    "event.type": ["info"],
    "process.executable": "C:\\v.exe",
    "process.pid": 12,
    "process.thread.id": 345,
}


def test_a_thread():
    """And the process it is in."""
    assert mapped("ecs", **THREAD) == ECS
    shape = {"event.category": "process", "event.type": "info"}
    assert mapped("documented", **THREAD) == ECS | shape


def test_the_process_of_the_thread_wins():
    """Over the fields that other events have."""
    found = mapped("ecs", **THREAD, pid=1, image_name="C:\\other.exe")
    assert (found["process.pid"], found["process.executable"]) == (12, "C:\\v.exe")
