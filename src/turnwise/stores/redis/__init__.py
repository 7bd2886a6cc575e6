"""Sessions on Redis, Valkey, Redis Cluster and Sentinel: one list, one key, per session."""

from turnwise.stores.redis.clients import (
    Client,
    cluster_client,
    sentinel_client,
    standalone_client,
)
from turnwise.stores.redis.keys import DEFAULT_PREFIX
from turnwise.stores.redis.store import RedisStore
from turnwise.stores.redis.transport import store_error

__all__ = [
    "DEFAULT_PREFIX",
    "Client",
    "RedisStore",
    "cluster_client",
    "sentinel_client",
    "standalone_client",
    "store_error",
]
