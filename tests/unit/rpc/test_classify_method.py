"""`classify_model_import_paths` over RPC: our own method, with the names of our records."""

from __future__ import annotations

import os

from support.headers import Gguf


def test_candidates(serve, library, tmp_path):
    path = tmp_path / "Some Flux.gguf"
    path.write_bytes(Gguf().file([("general.architecture", "string", "flux")]))
    os.mkfifo(tmp_path / "fifo")
    answer = serve(library.parents[1]).call(
        "classify_model_import_paths", {"paths": [str(tmp_path / "fifo"), str(path)]}
    )
    assert answer["success"] is True
    refused, found = answer["candidates"]
    assert refused["refusal"].startswith(f"{tmp_path}/fifo is a FIFO")
    assert (found["model_id"], found["subtype"]) == ("diffusion/flux/SomeFlux", "checkpoints")
    assert (found["refusal"], found["confidence"], found["needs_review"]) == (None, 1.0, False)
    assert path.exists()
