"""The mitmproxy addons. Each is a thin adapter: what can be decided without mitmproxy lives in a room below."""
