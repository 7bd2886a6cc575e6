"""Synthetic items in every shape that the Responses API and the Agents SDK produce.

The dictionary learns the structure of items from them; their words are common ones. The order of
fields is the one that the SDK serializes.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Item = dict[str, Any]

_ALNUM = string.ascii_letters + string.digits
_TOPICS = ["the order", "your account", "the meeting", "this document", "the invoice", "the flight"]
_CITIES = ["Berlin", "New York", "Tokyo", "São Paulo", "Zürich", "London", "Paris", "San Francisco"]
_USER_TEXTS = [
    "Can you tell me what the weather is like in {city} today?",
    "I would like to know the status of {topic}, please.",
    "Please send me an email with the details of {topic}.",
    "What is the best way to get to {city}? Thank you for your help!",
    "Yes, please go ahead.",
    "No, that's all. Thanks!",
    "Could you please help me with {topic}? I don't understand what I need to do next.",
    "Können Sie mir bitte mit dieser Frage helfen? Ich möchte nach {city} fahren.",
    "¿Puedes ayudarme con esto, por favor? Gracias.",
    "Pouvez-vous m'aider, s'il vous plaît ? Merci beaucoup.",
    "请帮我查一下今天的天气，谢谢。",
    "今日の天気を教えてください。ありがとうございます。",
    "Подскажите, пожалуйста, как это сделать? Спасибо.",
]
_ANSWERS = [
    (
        "Here is what I found about {topic}:\n\n1. **Summary**: It is available in {city}.\n"
        "2. **Details**: The total is ${number}.\n3. **Next steps**: Please let me know if "
        "you would like to proceed."
    ),
    "I'm sorry, but I can't help with that request. Is there anything else I can help you with?",
    "The current temperature in {city} is {number}°C, and the sky is clear.",
    (
        "I've updated {topic} for you. You should receive a confirmation email shortly. If you "
        "have any other questions, feel free to ask!"
    ),
    (
        "Sure! Could you please provide more information about {topic}? For example:\n\n"
        "- The date\n- The name\n- The number of people"
    ),
    (
        "## Overview\n\nBased on the information in the document, there are {number} results.\n\n"
        '```python\ndef main() -> None:\n    print("Hello, world!")\n```\n\nThis function returns '
        "the first element of the list. However, you can also use the following:\n\n"
        "| Name | Value |\n| --- | --- |\n| {topic} | {number} |\n"
    ),
    "Natürlich! Hier sind die Informationen, die Sie benötigen. Kann ich Ihnen noch helfen?",
    "Great! I have everything that I need. Let me check {topic} and get back to you.",
]
_TOOLS: list[tuple[str, Item, Any]] = [
    ("get_weather", {"city": "{city}", "unit": "celsius"}, "Sunny, {number} degrees"),
    ("search_web", {"query": "{topic} {city}", "limit": 10}, {"results": [{"title": "{topic}"}]}),
    ("transfer_to_support_agent", {}, {"assistant": "Support Agent"}),
    ("get_customer", {"customer_id": "{number}"}, {"name": "{city}", "email": "a@example.com"}),
    (
        "list_orders",
        {"status": "open", "page": 1},
        [{"id": "{number}", "status": "completed", "created_at": "2025-01-15T10:30:00Z"}],
    ),
    ("read_file", {"path": "src/main.py"}, "import json\nfrom typing import Any\n\n"),
    ("run_command", {"command": "ls -la", "timeout": 30}, {"stdout": "", "exit_code": 0}),
    ("send_email", {"to": "user@example.com", "subject": "{topic}", "body": "Hello"}, "ok"),
    (
        "query_database",
        {"sql": "SELECT * FROM users WHERE id = {number}"},
        {"rows": [{"id": "{number}", "name": "{city}", "price": None, "active": True}]},
    ),
    (
        "failing_tool",
        {"value": "{topic}"},
        "An error occurred while running the tool. Please try again. Error: invalid input",
    ),
]


class Shapes:
    """Generates synthetic items; the same seed gives the same items."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def items(self, count: int) -> Iterator[Item]:
        """At least `count` items: an item and those that belong to it come together."""
        makers: list[tuple[Callable[[], list[Item]], int]] = [
            (self._user, 6),
            (self._answer, 8),
            (self._call, 8),
            (self._reasoning, 3),
            (self._hosted, 4),
            (self._other_call, 2),
        ]
        choices, weights = zip(*makers, strict=True)
        for make in self._random.choices(choices, weights, k=count):
            yield from make()

    def _id(self, prefix: str) -> str:
        return f"{prefix}_68{self._random.randbytes(24).hex()}"

    def _call_id(self) -> str:
        return "call_" + "".join(self._random.choices(_ALNUM, k=24))

    def _fill(self, text: str) -> str:
        topic, city = self._random.choice(_TOPICS), self._random.choice(_CITIES)
        number = str(self._random.randrange(10_000))
        return text.replace("{topic}", topic).replace("{city}", city).replace("{number}", number)

    def _user_text(self) -> str:
        return " ".join(
            self._fill(s) for s in self._random.sample(_USER_TEXTS, self._random.randint(1, 2))
        )

    def _answer_text(self) -> str:
        return self._fill(self._random.choice(_ANSWERS))

    def _user(self) -> list[Item]:
        text = self._user_text()
        image = base64.b64encode(self._random.randbytes(60)).decode()
        return [
            self._random.choice(
                [
                    {"content": text, "role": "user"},
                    {"role": "user", "content": text},
                    {"type": "message", "role": "user", "content": text},
                    {"role": "user", "content": [{"type": "input_text", "text": text}]},
                    {"type": "message", "role": "developer", "content": text},
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_text", "text": text},
                            {
                                "type": "input_image",
                                "detail": "auto",
                                "image_url": f"data:image/png;base64,{image}",
                            },
                        ],
                    },
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "input_file",
                                "file_id": self._id("file"),
                                "filename": "report.pdf",
                            }
                        ],
                    },
                ]
            )
        ]

    def _answer(self) -> list[Item]:
        text = self._answer_text()
        part: Item = {"annotations": [], "text": text, "type": "output_text", "logprobs": []}
        if self._random.random() < 0.15:
            part["annotations"] = [self._citation()]
        if self._random.random() < 0.3:
            del part["logprobs"]
        message = {
            "id": self._id("msg"),
            "content": [part],
            "role": "assistant",
            "status": "completed",
            "type": "message",
        }
        refusal = {**message, "content": [{"refusal": "I'm sorry, I can't.", "type": "refusal"}]}
        plain = {"type": "message", "role": "assistant", "content": text}
        stored = {
            "id": self._id("msg"),
            "type": "message",
            "status": "completed",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
            "role": "assistant",
            "phase": "final_answer",
        }
        answers: list[Item] = [message, stored, plain, refusal]
        return self._random.choices(answers, [8, 3, 2, 1])

    def _citation(self) -> Item:
        return {
            "end_index": self._random.randrange(2000),
            "start_index": self._random.randrange(1000),
            "title": "Title of the page",
            "type": "url_citation",
            "url": "https://www.example.com/articles/page?utm_source=openai",
        }

    def _arguments(self, template: Any) -> str:
        spaced = self._random.random() < 0.3
        text = json.dumps(template, ensure_ascii=False, separators=None if spaced else (",", ":"))
        return self._fill(text)

    def _call(self) -> list[Item]:
        name, arguments, output = self._random.choice(_TOOLS)
        call_id = self._call_id()
        call: Item = {
            "arguments": self._arguments(arguments),
            "call_id": call_id,
            "name": name,
            "type": "function_call",
            "id": self._id("fc"),
            "status": "completed",
        }
        if self._random.random() < 0.2:
            call = {key: call[key] for key in ("type", "call_id", "name", "arguments")}
        answer: Item = {
            "call_id": call_id,
            "output": output if isinstance(output, str) else self._arguments(output),
            "type": "function_call_output",
        }
        if self._random.random() < 0.2:
            answer["output"] = [{"type": "input_text", "text": answer["output"]}]
        if self._random.random() < 0.2:
            answer = {key: answer[key] for key in ("type", "call_id", "output")}
        return [call, answer]

    def _reasoning(self) -> list[Item]:
        item: Item = {"id": self._id("rs"), "summary": [], "type": "reasoning"}
        if self._random.random() < 0.4:
            text = f"**Considering the request**\n\nThe user wants {self._fill('{topic}')}. "
            item["summary"] = [{"text": text + "I need to check.", "type": "summary_text"}]
        if self._random.random() < 0.7:
            secret = base64.urlsafe_b64encode(self._random.randbytes(300)).decode()
            item["encrypted_content"] = f"gAAAAAB{secret}"
        if self._random.random() < 0.2:
            item["content"] = [{"text": "Let me think.", "type": "reasoning_text"}]
            item["status"] = "completed"
        return [item]

    def _hosted(self) -> list[Item]:
        return [
            self._random.choice(
                [
                    {
                        "id": self._id("ws"),
                        "action": {
                            "query": self._user_text(),
                            "type": "search",
                            "queries": [self._user_text()],
                            "sources": None,
                        },
                        "status": "completed",
                        "type": "web_search_call",
                    },
                    {
                        "id": self._id("fs"),
                        "queries": [self._user_text()],
                        "status": "completed",
                        "type": "file_search_call",
                        "results": None,
                    },
                    {
                        "id": self._id("ci"),
                        "code": "import pandas as pd\nprint(df.head())\n",
                        "container_id": self._id("cntr"),
                        "outputs": None,
                        "status": "completed",
                        "type": "code_interpreter_call",
                    },
                    {
                        "id": self._id("mcp"),
                        "arguments": self._arguments({"query": "{topic}"}),
                        "name": "search",
                        "server_label": "docs",
                        "type": "mcp_call",
                        "approval_request_id": None,
                        "error": None,
                        "output": self._answer_text(),
                    },
                    {
                        "id": self._id("mcpr"),
                        "arguments": "{}",
                        "name": "search",
                        "server_label": "docs",
                        "type": "mcp_approval_request",
                    },
                    {
                        "approval_request_id": self._id("mcpr"),
                        "approve": True,
                        "type": "mcp_approval_response",
                        "id": None,
                        "reason": None,
                    },
                    {"type": "item_reference", "id": self._id("msg")},
                ]
            )
        ]

    def _other_call(self) -> list[Item]:
        call_id = self._call_id()
        pairs: list[list[Item]] = [
            [
                {
                    "call_id": call_id,
                    "input": "*** Begin Patch\n*** Update File: src/main.py\n@@\n",
                    "name": "apply_patch",
                    "type": "custom_tool_call",
                    "id": self._id("ctc"),
                    "status": "completed",
                },
                {"call_id": call_id, "output": "Done!", "type": "custom_tool_call_output"},
            ],
            [
                {
                    "id": self._id("sh"),
                    "action": {"commands": ["ls -la"], "timeout_ms": 60000},
                    "call_id": call_id,
                    "status": "completed",
                    "type": "shell_call",
                },
                {
                    "call_id": call_id,
                    "output": [
                        {
                            "outcome": {"type": "exit", "exit_code": 0},
                            "stderr": "",
                            "stdout": "total 8\n",
                        }
                    ],
                    "type": "shell_call_output",
                    "max_output_length": 4096,
                },
            ],
            [
                {
                    "id": self._id("cu"),
                    "action": {"button": "left", "type": "click", "x": 100, "y": 200},
                    "call_id": call_id,
                    "pending_safety_checks": [],
                    "status": "completed",
                    "type": "computer_call",
                },
                {
                    "call_id": call_id,
                    "output": {
                        "type": "computer_screenshot",
                        "image_url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA",
                    },
                    "type": "computer_call_output",
                    "acknowledged_safety_checks": [],
                },
            ],
        ]
        return self._random.choice(pairs)
