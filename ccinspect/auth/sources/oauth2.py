"""OAuth tokens from a file that a login left behind, renewed before they end and written back."""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccinspect.auth.apart import run_apart
from ccinspect.auth.credential import Fetched, SourceFailed
from ccinspect.auth.settings import OAuth2Auth
from ccinspect.auth.sources.token_file import Keys, Replacement, TokenFile, locked, read_time, write_time
from ccinspect.auth.sources.token_request import Client, Tokens, TokenServer
from ccinspect.auth.way import FindWay
from ccinspect.wire.jsontext import parse
from ccinspect.wire.model import Json

logger = logging.getLogger(__name__)

# A token server that cannot be reached is asked again after this, as long as the old token is still good.
_RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, repr=False)
class _Kept:
    """Tokens we were given, and the access token that the file holds as long as they are the newest."""

    in_file: str | None
    access: str
    refresh: str
    expires: float | None
    keep_until: float | None


class OAuth2Source:
    def __init__(self, settings: OAuth2Auth, ca_file: Path | None = None, way: FindWay | None = None) -> None:
        self._settings = settings
        self._path = settings.token_file.expanduser()
        self._server = TokenServer(settings.token_url, settings.encoding, ca_file)
        self._way = way
        self._kept: _Kept | None = None

    async def fetch(self, refused: str | None) -> Fetched:
        if self._way is not None:
            self._server.way = await self._way(self._settings.token_url)
        # When the caller gives up the thread goes on: tokens it is given must reach the file.
        return await run_apart(lambda: self._get(refused))

    def _get(self, refused: str | None) -> Fetched:
        found = self._usable(TokenFile.read(self._path), refused)
        if found is not None:
            return found
        with locked(Path(self._path.resolve()), self._settings.timeout):
            # Whoever held the lock before us may have renewed them.
            file = TokenFile.read(self._path)
            return self._usable(file, refused) or self._renewed(file, refused)

    def _current(self, file: TokenFile) -> _Kept | None:
        """The newest tokens: what is in the file, unless we have newer ones."""
        settings = self._settings
        access = file.text(settings.access_token_field)
        if self._kept is not None and self._kept.in_file == access:
            return self._kept
        refresh = file.text(settings.refresh_token_field)
        if access is None and refresh is None:
            return None
        expires = read_time(file.at(settings.expires_field)) or _end_of_jwt(access or "")
        keep_until = None if expires is None else expires - settings.refresh_before
        return _Kept(access, access or "", refresh or "", expires, keep_until)

    def _usable(self, file: TokenFile, refused: str | None) -> Fetched | None:
        tokens = self._current(file)
        if tokens is None or not tokens.access or tokens.access == refused:
            return None
        if tokens.keep_until is not None and tokens.keep_until <= time.time():
            return None
        return Fetched(tokens.access, tokens.expires, tokens.keep_until)

    def _renewed(self, file: TokenFile, refused: str | None) -> Fetched:
        old = self._current(file)
        if old is None or not old.refresh:
            raise SourceFailed(
                f"{self._path} has no refresh token at `{'.'.join(self._settings.refresh_token_field)}`",
                "log in again with the program that made it, or mend `refresh_token_field`",
            )
        try:
            return self._refresh(file, old)
        except SourceFailed as failure:
            still_good = old.access and old.access != refused and old.expires and old.expires > time.time() + 1
            if not still_good:
                raise
            logger.warning("cannot renew the tokens of %s yet: %s", self._path, failure.reason)
            return Fetched(old.access, old.expires, time.time() + _RETRY_SECONDS)

    def _refresh(self, file: TokenFile, old: _Kept) -> Fetched:
        settings = self._settings
        parameters = dict(settings.parameters) | ({"scope": settings.scope} if settings.scope else {})
        with _replacement(file.path) as replacement:
            tokens = self._server.refresh(old.refresh, self._client(file), parameters, settings.timeout)
            now = time.time()
            expires = now + tokens.lifetime if tokens.lifetime else _end_of_jwt(tokens.access)
            keep_until = None
            if expires is not None:
                # One that lives for less than twice `refresh_before` is used for half of its life.
                keep_until = max(expires - settings.refresh_before, (now + expires) / 2)
            in_file: str | None = tokens.access
            try:
                replacement.put(file.with_values(self._changes(file, tokens, expires)))
            except OSError as error:
                # The old refresh token may be spent: what we hold is all there is, until the daemon ends.
                logger.error("new tokens cannot be written to %s: %s", self._path, error.strerror)
                in_file = file.text(settings.access_token_field)
            self._kept = _Kept(in_file, tokens.access, tokens.refresh or old.refresh, expires, keep_until)
        return Fetched(tokens.access, expires, keep_until)

    def _changes(self, file: TokenFile, tokens: Tokens, expires: float | None) -> dict[Keys, Json]:
        settings = self._settings
        changes: dict[Keys, Json] = {settings.access_token_field: tokens.access}
        if tokens.refresh:
            changes[settings.refresh_token_field] = tokens.refresh
        stood = file.at(settings.expires_field)
        if tokens.lifetime and expires is not None:
            changes[settings.expires_field] = write_time(expires, stood)
        elif stood is not None:
            # The old end says nothing of the new token.
            changes[settings.expires_field] = None if expires is None else write_time(expires, stood)
        return changes

    def _client(self, file: TokenFile) -> Client:
        settings = self._settings
        secret = settings.client_secret.get_secret_value() if settings.client_secret else None
        return Client(
            settings.client_id or file.text(settings.client_id_field),
            secret or file.text(settings.client_secret_field),
            settings.client_auth,
        )


@contextlib.contextmanager
def _replacement(path: Path) -> Iterator[Replacement]:
    try:
        replacement = Replacement(path)
    except OSError as error:
        raise SourceFailed(
            f"{path.parent} cannot be written: {error.strerror}", "new tokens have to be written back: make room there"
        ) from error
    try:
        yield replacement
    finally:
        replacement.close()


def _end_of_jwt(token: str) -> float | None:
    """`exp` of a JSON Web Token, which nobody verifies here: it only says when to ask for another."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims, _ = parse(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    return float(end) if isinstance(end, int | float) and not isinstance(end, bool) and 0 < end < 1e11 else None
