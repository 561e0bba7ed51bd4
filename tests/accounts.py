"""JWTs as `nsc` makes them: an operator whom servers of NATS trust, its account, and its users.

docs.nats.io, "JWTs: in depth": each is signed with the key of who is above.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64encode
from typing import Any, Final

import nkeys

AGE_SECONDS: Final = 60
"""For how long JWTs are valid when they are made: what is revoked now are those made before."""

CREDENTIALS: Final = """\
-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""

SOMEBODY: Final = CREDENTIALS.format(
    jwt="e30.e30.e30", seed="SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
)
"""The file of a user whom no servers know."""

_UNBOUND: Final = {"subs": -1, "data": -1, "payload": -1}
_ACCOUNT: Final = {**_UNBOUND, "imports": -1, "exports": -1, "conn": -1, "leaf": -1}
_JETSTREAM: Final = {"mem_storage": 0, "disk_storage": 1 << 30, "streams": 2, "consumer": 16}


class Operator:
    """An operator with one account, whose users may have two streams.

    Its settings are for `more` of `tests.nats.Nats`; who has revoked a user reads them again.

    Args:
        limits: of the account, other than these: `streams`, `consumer`, `disk_storage` and so on.
    """

    def __init__(self, **limits: int) -> None:
        self._limits = {**_ACCOUNT, **_JETSTREAM, **limits}
        self._key = _key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = _key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._system = _key(nkeys.PREFIX_BYTE_ACCOUNT)
        own = {"type": "operator", "system_account": _name(self._system)}
        self._own = _jwt(self._key, self._key, own)  # servers that run take no other
        self._revoked: dict[str, int] = {}

    @property
    def settings(self) -> str:
        """What servers have in their settings to know operator and accounts."""
        system = _name(self._system)
        account = {"type": "account", "limits": self._limits, "revocations": self._revoked}
        accounts = {
            _name(self._account): _jwt(self._key, self._account, account),
            system: _jwt(self._key, self._system, {"type": "account", "limits": _ACCOUNT}),
        }
        preload = "\n".join(f"{name}: {jwt}" for name, jwt in accounts.items())
        return (
            f"operator: {self._own}\nsystem_account: {system}\n"
            f"resolver: MEMORY\nresolver_preload {{\n{preload}\n}}\n"
        )

    def user(
        self,
        *,
        publish: tuple[str, ...] = (">",),
        subscribe: tuple[str, ...] = (">",),
        valid_seconds: float | None = None,
    ) -> tuple[str, str]:
        """Make a user.

        Args:
            publish: the subjects that it may publish to.
            subscribe: those that it may hear.
            valid_seconds: how long it may do so from now on; None for ever.

        Returns:
            Its name, and the file of its credentials.
        """
        key = _key(nkeys.PREFIX_BYTE_USER)
        permitted = {"pub": {"allow": publish}, "sub": {"allow": subscribe}}
        until = None if valid_seconds is None else round(time.time() + valid_seconds)
        jwt = _jwt(self._account, key, {"type": "user", **_UNBOUND, **permitted}, until)
        return _name(key), CREDENTIALS.format(jwt=jwt, seed=key.seed.decode())

    def revoke(self, user: str) -> None:
        """Have a user be let in no more, once servers have read the settings again."""
        self._revoked[user] = round(time.time())


def _key(prefix: int) -> nkeys.KeyPair:
    return nkeys.from_seed(nkeys.encode_seed(secrets.token_bytes(32), prefix))


def _name(key: nkeys.KeyPair) -> str:
    name: str = key.public_key.decode()
    return name


def _jwt(
    signer: nkeys.KeyPair, subject: nkeys.KeyPair, claims: dict[str, Any], until: int | None = None
) -> str:
    """Return what the signer says of a subject."""
    said = {
        "jti": secrets.token_hex(16),
        "iat": round(time.time()) - AGE_SECONDS,
        "iss": _name(signer),
        "sub": _name(subject),
        "nats": {**claims, "version": 2},
        **({} if until is None else {"exp": until}),
    }
    text = ".".join(map(_encoded, ({"typ": "JWT", "alg": "ed25519-nkey"}, said)))
    return f"{text}.{_text(signer.sign(text.encode()))}"


def _encoded(part: dict[str, Any]) -> str:
    return _text(json.dumps(part).encode())


def _text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
