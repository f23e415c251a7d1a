"""An index of generated models, as wide as real ones: 51 tokens and 29 distinct terms each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

from pumas.search import schema
from pumas.search.database import Database, transaction

_FAMILIES = (
    "llama qwen mistral gemma phi deepseek falcon yi solar nomic sdxl flux pony esrgan whisper bark bert gpt t5 clip "
    "mamba command granite olmo smollm stablelm vicuna wizard zephyr starcoder"
)
_STYLES = (
    "instruct",
    "chat",
    "coder",
    "base",
    "anime",
    "realistic",
    "distill",
    "merge",
    "turbo",
    "lightning",
    "uncensored",
)
_FORMS = ("Q4_K_M", "Q8_0", "Q5_K_S", "Q6_K", "IQ2_XS", "fp16", "bf16", "pruned", "GPTQ", "AWQ")
_TAGS = ("gguf", "text-generation", "conversational", "en", "de", "code", "license:apache-2.0", "lora", "text-to-image")
_WORDS = (
    "a the model for short answers long texts images sounds tuned on public data works well with small memory quick "
    "replies merged from two others please read card before use best at low guidance and it is not meant as advice"
)
_TYPES = ("llm", "diffusion", "audio", "embedding", "vision")


def models(count: int) -> Iterator[tuple[str, ...]]:
    """Rows of the index without the time of writing."""
    random = Random(20261125)
    families, words = _FAMILIES.split(), _WORDS.split()
    for number in range(count):
        family = random.choice(families)
        kind = random.choices(_TYPES, (50, 30, 8, 6, 6))[0]
        version = f"{random.randint(1, 4)}.{random.randint(0, 9)}"
        size = random.choice((1, 3, 7, 8, 13, 34, 70))
        maker = f"{random.choice(_STYLES)[:4]}{random.randint(1, max(count // 20, 2)):x}"
        title = f"{family}-{version}-{size}B-{random.choice(_STYLES)}-{random.choice(_FORMS)}"
        name = f"{title}-{number:06d}"
        tags = random.sample(_TAGS, 3)
        sentence = " ".join(random.choices(words, k=random.randint(8, 16)))
        document = {
            "family": family,
            "description": f"{title} by {maker}: {sentence}",
            "size_bytes": random.randint(10**7, 4 * 10**10),
            "notes": "x" * 600,
        }
        model_id = f"{kind}/{family}/{name}"
        yield model_id, model_id, name, name, kind, json.dumps(tags), "{}", json.dumps(document, indent=2)


def make_index(path: Path, count: int) -> sqlite3.Connection:
    """Make the index with that many models; the connection can be used for reading."""
    database = Database(path, is_writable=True)
    with database.use() as db, transaction(db):
        db.executemany(f"INSERT INTO models VALUES ({', '.join('?' * 9)})", ((*row, "") for row in models(count)))
        schema.refill_search(db)
    database.close()
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)
