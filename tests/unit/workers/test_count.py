"""How many processors may be used."""

import os

import pytest

from collector.workers import count
from collector.workers.count import processors, worker_count


@pytest.fixture(autouse=True)
def eight(monkeypatch):
    """Have eight processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.fixture
def found(tmp_path):
    """Return what writes the quotas of control groups and counts processors."""

    def find(path="/", **quotas):
        own = tmp_path / "own"
        own.write_text(f"0::{path}\n")
        for group, quota in quotas.items():
            directory = tmp_path / "cgroup" / ("" if group == "root" else group)
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "cpu.max").write_text(f"{quota}\n")
        return processors(tmp_path / "cgroup", own)

    return find


def test_a_number_is_as_many_as_it_says():
    assert worker_count(3) == 3


def test_auto_is_as_many_as_there_are_processors(monkeypatch):
    monkeypatch.setattr(count, "processors", lambda: 5)
    assert worker_count("auto") == 5


def test_without_a_quota_all_count_that_the_process_is_bound_to(found):
    """Also where there are no control groups."""
    assert found() == 8
    assert found(root="max 100000") == 8


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("9900000 100000", 8)],
)
def test_a_quota_counts_in_whole_processors(found, quota, expected):
    """One at least."""
    assert found(root=quota) == expected


def test_the_least_quota_of_all_groups_above_counts(found):
    assert found("/a", root="300000 100000", a="400000 100000") == 3


@pytest.mark.parametrize("quota", ["", "x", "1 0", "1"])
def test_a_quota_that_cannot_be_read_is_none(found, quota):
    assert found(root=quota) == 8


def test_where_the_system_does_not_say_the_process_is_taken_at_its_word(tmp_path):
    assert processors(tmp_path, tmp_path / "absent") == 8
