"""What the settings of a listener ask of one another."""

import pytest

from collector.settings.listener_relations import asked_for_certificates

AUTHORITY = {"client_ca_file": "/ca.pem"}


@pytest.mark.parametrize(
    ("written", "problems"),
    [
        ({}, []),
        (AUTHORITY, []),
        ({"require_client_cert": False}, []),
        ({"allowed_names": []}, []),
        (AUTHORITY | {"require_client_cert": False, "allowed_names": []}, []),
        (AUTHORITY | {"allowed_names": ["a"]}, []),
        (AUTHORITY | {"allowed_names": "a", "require_client_cert": "true"}, []),
        (
            {"require_client_cert": "true"},
            ["require_client_cert: needs authorities; accepted with client_ca_file"],
        ),
        (
            {"allowed_names": "a"},
            ["allowed_names: of no certificate; accepted with client_ca_file"],
        ),
        (
            AUTHORITY | {"allowed_names": ["a"], "require_client_cert": "false"},
            [
                (
                    "allowed_names: not asked of a sender without a certificate; accepted with "
                    "require_client_cert: true"
                )
            ],
        ),
        (AUTHORITY | {"allowed_names": ["a"], "require_client_cert": ["false"]}, []),
    ],
)
def test_names_and_a_must_need_certificates_that_are_asked_for(written, problems):
    """Values of another kind are told elsewhere."""
    assert [str(problem) for problem in asked_for_certificates(written)] == problems
