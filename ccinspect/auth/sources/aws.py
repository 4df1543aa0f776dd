"""Requests signed for Amazon (Signature Version 4), by the package `botocore`."""

from __future__ import annotations

import re
from typing import Any

from ccinspect.auth.apart import run_apart
from ccinspect.auth.credential import Fetched, Signer, SourceFailed
from ccinspect.auth.settings import AwsAuth
from ccinspect.auth.sources.optional import library
from ccinspect.pipeline.message import Outgoing

_HOST = re.compile(r"([a-z0-9-]+)\.([a-z]{2}(?:-[a-z0-9]+)+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)", re.IGNORECASE)
# Signing names that are not the first label of the host.
_SERVICES = {"bedrock-runtime": "bedrock", "bedrock-runtime-fips": "bedrock", "bedrock-agent-runtime": "bedrock"}
_MADE = ("authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256")


class AwsSource:
    def __init__(self, settings: AwsAuth) -> None:
        self._settings = settings
        self._found: Any = None
        self._region: str | None = None

    async def fetch(self, refused: str | None) -> Fetched:
        return await run_apart(lambda: self._get(refused))

    def _get(self, refused: str | None) -> Fetched:
        session_module = library("botocore.session", "botocore")
        try:
            if self._found is None or refused is not None:
                session = session_module.Session(profile=self._settings.profile)
                self._found = session.get_credentials()
                self._region = session.get_config_variable("region")
            # The library renews temporary ones by itself.
            frozen = self._found.get_frozen_credentials() if self._found is not None else None
        except Exception as error:
            self._found = None
            # The library raises what comes; its text may hold what a server answered.
            raise SourceFailed(
                f"the AWS configuration gives no credentials ({type(error).__name__})",
                "see `aws sts get-caller-identity`, with the same profile",
            ) from error
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise SourceFailed(
                "the AWS configuration has no credentials",
                "log in (aws sso login, aws configure), or name a `profile` that has some",
            )
        value = "\n".join((frozen.access_key, frozen.secret_key, frozen.token or ""))
        return Fetched(value, signer=self._signer(frozen))

    def _signer(self, frozen: Any) -> Signer:
        def sign(outgoing: Outgoing) -> None:
            service, region = self._place(outgoing.host)
            _sign(outgoing, frozen, service, region)

        return sign

    def _place(self, host: str) -> tuple[str, str]:
        found = _HOST.fullmatch(host)
        named, region = (found[1].lower(), found[2].lower()) if found else (None, None)
        service = self._settings.service or (_SERVICES.get(named, named) if named else "bedrock")
        region = self._settings.region or region or self._region
        if region is None:
            raise SourceFailed(f"nothing says which AWS region {host} is in", "give `region` in this provider's `auth`")
        return service, region


def _sign(outgoing: Outgoing, frozen: Any, service: str, region: str) -> None:
    if outgoing.body is None:
        raise SourceFailed("the request's body was not read, and its signature has to cover it", "report this fault")
    request_class = library("botocore.awsrequest", "botocore").AWSRequest
    signature = library("botocore.auth", "botocore").SigV4Auth(frozen, service, region)
    # Besides the host it covers what Amazon wants covered; whoever carries the request may change the rest.
    fields = outgoing.headers
    fields.remove(*_MADE)
    names = dict.fromkeys(name.lower() for name in fields)
    covered = {name: fields.get(name) for name in names if name == "content-type" or name.startswith("x-amz-")}
    request = request_class(outgoing.method, outgoing.url, headers=covered, data=outgoing.body)
    signature.add_auth(request)
    for name, value in request.headers.items():
        if name.lower() in _MADE:
            fields.set(name.lower(), value)
