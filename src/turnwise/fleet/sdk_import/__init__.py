"""Conversations of the Agents SDK's own sessions become sessions of ours."""

from turnwise.fleet.sdk_import.importing import SDKSource, import_from

__all__ = ["SDKSource", "import_from"]
