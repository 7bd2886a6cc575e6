"""The names that the conventions for generative AI have for providers of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

DEFAULT = "openai"
"""What speaks OpenAI's protocol and is not known by its address counts as this."""
_BY_HOST = {
    "api.anthropic.com": "anthropic",
    "amazonaws.com": "aws.bedrock",
    "openai.azure.com": "azure.ai.openai",
    "models.ai.azure.com": "azure.ai.inference",
    "services.ai.azure.com": "azure.ai.inference",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.deepseek.com": "deepseek",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "api.groq.com": "groq",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
}
"""By what their hosts' names end with."""
_BY_NAME = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "azureopenai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""By the names that LiteLLM and any-llm have for them, where these differ."""


def provider_of(model: str, config: Mapping[str, Any]) -> str:
    """The provider of a model as far as the SDK's trace tells.

    Args:
        model: The model's name as it was asked for.
        config: The `model_config` of the SDK's span.
    """
    named = config.get("provider")
    if not named and config.get("model_impl") == "litellm" and "/" in model:
        named = model.partition("/")[0]
    if named:
        return _BY_NAME.get(str(named), str(named))
    return _at(str(config.get("base_url") or ""))


def _at(address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return DEFAULT
    known = (name for end, name in _BY_HOST.items() if f".{host}".endswith(f".{end}"))
    return next(known, DEFAULT)
