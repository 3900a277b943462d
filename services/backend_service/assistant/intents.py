"""What a sentence in plain English asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

POLITE = re.compile(
    r"^(?:(?:please|hey|hi|hello|ok|okay|and|then|now|also|so|could you|can you|would you|will you|"
    r"i want you to|i'?d like you to|i would like you to)[\s,!.]+)+",
    re.IGNORECASE,
)
LISTED = r"(?:\s+(?:to|on|onto|in)\s+(?:my|the)\s+(?:to-?do\s+)?(?:list|tasks|todos))?"
TASK = r"(?:(?:a|an|the|my|another)\s+)?(?:new\s+)?(?:tasks?|to-?dos?|reminders?|items?)\b"
LIST_WORDS = r"tasks?|to-?dos?|list|due|open|left|agenda|overdue|to do|have to|done|next"
DONE = r"(?:done|completed?|finished)"
RULES: tuple[tuple[str, str], ...] = (
    ("help", r"(?:help|what can you do|how does this work)\b.*"),
    ("greet", r"(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks?|thank you)(?:\s+\w+)?"),
    ("unremind", (r"(?:cancel|remove|delete|drop)\s+(?:the\s+|my\s+)?reminder\s+(?:for|of|about|to)"
     r"\s+(?P<task>.+)")),
    ("unremind", (r"(?:do not|don['\u2019]?t|stop)\s+remind(?:ing)?\s+me\s+(?:of|about|to)"
     r"\s+(?P<task>.+)")),
    ("remind", r"remind\s+me\b(?P<rest>.*)"),
    ("remind", r"(?:set|add|create)\s+(?:a\s+)?reminder\b(?P<rest>.*)"),
    ("complete", rf"mark\s+(?P<task>.+?)\s+(?:as\s+)?{DONE}"),
    ("complete", r"(?:complete|finish|check\s+off|tick\s+off|done\s+with|done:?)\s+(?P<task>.+)"),
    ("complete", (r"(?:i\s+am|i['\u2019]?m|i\s+have|i['\u2019]ve)\s+(?:done|finished|completed)"
     r"\s+(?:with\s+)?(?P<task>.+)")),
    ("complete", r"i\s+(?:did|finished|completed)\s+(?P<task>.+)"),
    ("complete", rf"(?P<task>.+?)\s+is\s+{DONE}"),
    ("rename", r"(?:rename|retitle)\s+(?P<task>.+?)\s+(?:to|as|into)\s+(?P<title>.+)"),
    ("rename", r"change\s+(?:the\s+title\s+of\s+)?(?P<task>.+?)\s+(?:to|into)\s+(?P<title>.+)"),
    ("delete", r"(?:delete|remove|erase|get\s+rid\s+of)(?P<rest>\s.*)?"),
    ("repeat", r"repeat\s+(?P<rest>.+)|make\s+(?P<made>.+?\s+(?:repeat|recur)\b.+)"),
    ("move", r"(?:move|postpone|reschedule|delay|put\s+off)\s+(?P<rest>.+)"),
    ("list", r"(?:list|show|display)\b(?P<rest>.*)"),
    ("list", rf"(?:(?:what|which|tell|read|do)\b)(?P<rest>.*\b(?:{LIST_WORDS})\b.*)"),
    ("list", rf"(?P<rest>(?:my\s+|all\s+)*(?:open\s+|{DONE}\s+)?(?:tasks|to-?dos|agenda|list))"),
    ("move", r"(?P<rest>.+?\s+is\s+due\s+.+)"),
    ("add", r"(?:add|create|note(?:\s+down)?|write\s+down|schedule)(?P<rest>[\s:].*)?"),
    ("add", rf"(?:new|make|i\s+(?:need|want))\s+(?P<rest>{TASK}.*)|new\s+(?P<also>task.*)"),
    ("add", rf"put\s+(?P<rest>.+){LISTED.removesuffix('?')}(?P<also>.*)"),
    ("add", (r"(?:i\s+(?:need|have|want|ought)\s+to|i\s+(?:must|should)|i['\u2019]?ve\s+got\s+to|"
     r"(?:don['\u2019]?t|do\s+not)(?:\s+let\s+me)?\s+forget\s+to|todo:?|task:?)\s+(?P<rest>.+)")),
)  # fmt: skip
_COMPILED = [(name, re.compile(rule, re.IGNORECASE | re.DOTALL)) for name, rule in RULES]

YES = re.compile(
    r"(?:yes|yep|yeah|y|sure|ok|okay|confirm(?:ed)?|do it|go ahead|of course)\b"
    r"(?:[\s,.!]+(?:please|do it|do|sure|delete (?:it|that|this)|go ahead|remove it))*[\s.!]*",
    re.IGNORECASE,
)
NO = re.compile(
    r"(?:no|nope|n|never ?mind|cancel|stop|don['\u2019]?t|do not|keep (?:it|that))\b"
    r"(?:[\s,.!]+(?:thanks?|thank you|keep (?:it|that)|don['\u2019]?t|please|do it|delete it))*"
    r"[\s.!]*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Intent:
    """What a sentence asks for.

    Attributes:
        name: what to do; "" if that was not understood.
        task: the words for an existing task, or "".
        title: the words for a new title, or "".
        rest: what remains to be read: a title, times.
    """

    name: str
    task: str = ""
    title: str = ""
    rest: str = ""


def understood(text: str) -> Intent:
    """What a sentence asks for, by the first rule that fits all of it."""
    text = " ".join(text.split()).strip(" .!;")
    for each in (text.rstrip("?"), POLITE.sub("", text).rstrip(" ?")):
        for name, rule in _COMPILED:
            if match := rule.fullmatch(each.strip()):
                return _intent(name, match)
    return Intent("")


def _intent(name: str, match: re.Match[str]) -> Intent:
    said = {key: (words or "").strip() for key, words in match.groupdict().items()}
    rest = " ".join(filter(None, (said.get(key, "") for key in ("rest", "made", "also"))))
    return Intent(name, said.get("task", ""), said.get("title", ""), rest)


def title_of(text: str) -> str:
    """The title of a new task, without the words around it: "a task to", "on my list"."""
    text = re.sub(rf"{LISTED}\s*[.!]*$", "", text.strip(), flags=re.IGNORECASE)
    text = re.sub(rf"^{TASK}\s*(?:called|named|titled)?\s*", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^(?:to|that|about|of|for|i\s+(?:need|have)\s+to)\s+|^[:,\u2013-]\s*", "", text,
                  flags=re.IGNORECASE)  # fmt: skip
    return sentence(unquoted(text))


def task_words(text: str) -> str:
    """The words for an existing task, without articles and the word task."""
    text = re.sub(rf"^(?:{TASK})\s*(?:called|named|:)?\s*", "", text.strip(), flags=re.IGNORECASE)
    return unquoted(re.sub(r"^(?:about|of|for|to)\s+", "", text, flags=re.IGNORECASE)).strip(" .!?")


def unquoted(text: str) -> str:
    """A text without the quotes around it."""
    return re.sub(r"^[\"“”'\u2018](.*)[\"“”'\u2019]$", r"\1", text.strip(), flags=re.DOTALL).strip()


def sentence(text: str) -> str:
    """A text that begins with a capital letter."""
    return text[:1].upper() + text[1:]
