"""Access tokens of Google Cloud, by the package `google-auth`."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from ccinspect.auth.apart import run_apart
from ccinspect.auth.credential import Fetched, SourceFailed
from ccinspect.auth.settings import GcpAuth
from ccinspect.auth.sources.optional import library

# The library's own notion of a fresh token is one that lives for 3:45 minutes more.
_BEFORE = 225.0


class GcpSource:
    def __init__(self, settings: GcpAuth) -> None:
        self._settings = settings
        self._credentials: Any = None

    async def fetch(self, refused: str | None) -> Fetched:
        return await run_apart(lambda: self._get(refused))

    def _get(self, refused: str | None) -> Fetched:
        google_auth = library("google.auth", "google-auth")
        exceptions = library("google.auth.exceptions", "google-auth")
        transport = library("google.auth.transport.requests", "requests")
        try:
            credentials = self._credentials or self._find(google_auth)
            if credentials.token == refused or not credentials.valid:
                session = transport.requests.Session()
                with session:
                    credentials.refresh(transport.Request(session))
        except exceptions.DefaultCredentialsError as error:
            raise SourceFailed(
                "Google's default credentials cannot be found or read",
                "log in (gcloud auth application-default login), or name a `file`",
            ) from error
        except Exception as error:
            self._credentials = None
            # The library raises what comes; its text may hold what a server answered.
            raise SourceFailed(
                f"Google gave no token ({type(error).__name__})",
                "try `gcloud auth application-default print-access-token`, and see that the credentials are valid",
            ) from error
        self._credentials = credentials
        expiry = credentials.expiry
        expires = expiry.replace(tzinfo=UTC).timestamp() if expiry is not None else None
        project = self._settings.quota_project or getattr(credentials, "quota_project_id", None)
        return Fetched(
            str(credentials.token),
            expires,
            None if expires is None else expires - _BEFORE,
            headers=(("x-goog-user-project", str(project)),) if project else (),
        )

    def _find(self, google_auth: Any) -> Any:
        scopes = list(self._settings.scopes)
        if self._settings.file is None:
            return google_auth.default(scopes=scopes)[0]
        return google_auth.load_credentials_from_file(str(self._settings.file.expanduser()), scopes=scopes)[0]
