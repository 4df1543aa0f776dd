"""Access tokens of Google Cloud, by the package `google-auth`."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

from ccinspect.auth.apart import run_apart
from ccinspect.auth.credential import Fetched, SourceFailed
from ccinspect.auth.settings import GcpAuth
from ccinspect.auth.sources.optional import library
from ccinspect.auth.way import FindWay, Way

# The library's own notion of a fresh token is one that lives for 3:45 minutes more.
_BEFORE = 225.0
# Where the library asks for tokens, or a place beside it.
_TOKEN_URL = "https://oauth2.googleapis.com/token"


class GcpSource:
    def __init__(self, settings: GcpAuth, ca_file: Path | None = None, way: FindWay | None = None) -> None:
        self._settings = settings
        self._ca_file = ca_file
        self._find_way = way
        self._way: Way | None = None
        self._credentials: Any = None

    async def fetch(self, refused: str | None) -> Fetched:
        if self._find_way is not None:
            self._way = await self._find_way(_TOKEN_URL)
        return await run_apart(lambda: self._get(refused))

    def _get(self, refused: str | None) -> Fetched:
        google_auth = library("google.auth", "google-auth")
        exceptions = library("google.auth.exceptions", "google-auth")
        transport = library("google.auth.transport.requests", "requests")
        try:
            credentials = self._credentials or self._find(google_auth)
            if credentials.token == refused or not credentials.valid:
                with self._session(transport) as session:
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

    def _session(self, transport: Any) -> Any:
        session = transport.requests.Session()
        if self._ca_file is not None:
            session.verify = str(self._ca_file)
        if self._way is not None:
            session.trust_env = False
            # Not for plain HTTP: that is the metadata server of a machine in their cloud.
            session.proxies = {"https": self._way.url}
            authorization = self._way.authorization

            class Adapter(transport.requests.adapters.HTTPAdapter):  # type: ignore[misc]
                def proxy_headers(self, proxy: str) -> dict[str, str]:
                    return {} if authorization is None else {"Proxy-Authorization": authorization}

            session.mount("https://", Adapter())
        return session

    def _find(self, google_auth: Any) -> Any:
        scopes = list(self._settings.scopes)
        if self._settings.file is None:
            return google_auth.default(scopes=scopes)[0]
        return google_auth.load_credentials_from_file(str(self._settings.file.expanduser()), scopes=scopes)[0]
