"""Folders of models, weights and tokenizers as a hub may hold them: what is read of them, and what is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.architectures import tiny
from tokencredit.base import checked, load_policy, load_tokenizer
from tokencredit.base.checked import load_checked
from tokencredit.config import HubModel
from tokencredit.engines.ending import response_text
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence
from tokencredit.records import Problem

TEMPLATE = "<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n"
PROBLEMS = [Problem(str(k), f"Find x if {k} + 678 = x over ℕ .", "1") for k in range(9)]


def hub_model(prompt: str = TEMPLATE) -> HubModel:
    return HubModel(kind="hub", title="X", id="a/b", revision=None, parameters=5, prompt=prompt)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model and a byte-level tokenizer whose end token is not the one that closes a turn, as the Qwen2.5 bases have it."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    raw.train_from_iterator([problem.problem for problem in PROBLEMS], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=marks[0], additional_special_tokens=marks[1:])
    tokenizer.save_pretrained(tmp_path)
    tiny("llama", dict(vocab_size=raw.get_vocab_size() + 5, eos_token_id=0)).save_pretrained(tmp_path)
    return tmp_path


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize(
    "outputs", [{"return_dict": False}, {"output_attentions": True}, {"output_hidden_states": True}]
)
def test_what_a_config_asks_passes_to_give_is_passed_over(
    folder: Path, tmp_path: Path, outputs: dict[str, bool]
) -> None:
    """A policy of tuples cannot be scored, one that gives attention cannot be saved, and all hidden states are memory for nothing."""
    rewrite(folder / "config.json", **outputs)
    policy, _ = load_checked(folder, hub_model(), PROBLEMS, longest=100)
    given = policy(torch.tensor([[5, 6, 7]]), use_cache=False)
    assert set(given) == {"logits"}
    policy.save_pretrained(tmp_path / "saved")


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"is_causal": False}, "is_causal = False: tokens would see those after them"),
        (
            {"use_bidirectional_attention": True},
            "use_bidirectional_attention = True: tokens would see those after them",
        ),
        (
            {"tie_word_embeddings": True},
            "tie_word_embeddings = True: the head would be the embedding, and the folder holds another",
        ),
    ],
)
def test_a_setting_that_makes_another_model_is_named(folder: Path, setting: dict[str, bool], why: str) -> None:
    rewrite(folder / "config.json", **setting)
    with pytest.raises(UserError, match=rf"config\.json: {why}"):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


@pytest.mark.parametrize(
    "setting",
    ["use_cache", "is_decoder", "add_cross_attention", "is_encoder_decoder", "torchscript", "output_router_logits"],
)
def test_a_setting_that_means_nothing_to_a_decoder_changes_nothing(folder: Path, setting: str) -> None:
    scores = []
    for changes in ({}, {setting: setting != "use_cache"}):
        rewrite(folder / "config.json", **changes)
        policy, _ = load_checked(folder, hub_model(), PROBLEMS, longest=100)
        scores.append(Scorer(policy).score([Sequence((5, 6), (7, 8, 9))], 100)[0])
    assert torch.equal(*scores)


def test_the_mark_that_closes_the_turn_ends_a_response(folder: Path) -> None:
    policy, tokenizer = load_checked(folder, hub_model(), PROBLEMS, longest=100)
    ends = TransformersEngine(policy, tokenizer).end_tokens
    assert tokenizer.convert_ids_to_tokens(sorted(ends)) == ["<|endoftext|>", "<|im_end|>"]


def test_a_closing_mark_of_any_name_ends_a_response(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|halt|>"]})
    tokenizer.save_pretrained(folder)
    policy, _ = load_checked(folder, hub_model("{problem}<|halt|>\n"), PROBLEMS, longest=100)
    assert tokenizer.convert_tokens_to_ids("<|halt|>") in policy.generation_config.eos_token_id


@pytest.mark.parametrize("tokenizer_class", ["LlamaTokenizer", "Qwen2Tokenizer", "PreTrainedTokenizerFast"])
def test_the_tokenizer_is_its_file_whatever_class_its_settings_name(folder: Path, tokenizer_class: str) -> None:
    rewrite(folder / "tokenizer_config.json", tokenizer_class=tokenizer_class)
    _, tokenizer = load_checked(folder, hub_model(), PROBLEMS, longest=100)
    text = "x  =  5 over ℕ."
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_a_sentencepiece_tokenizer_that_is_legacy_stays_so_once_saved(tmp_path: Path) -> None:
    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))],
        show_progress=False,
    )
    raw.train_from_iterator(["[INST] Find x if 2 + 2 = x . [/INST] The answer is 4 ."] * 20, trainer)
    raw.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "legacy": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tiny("llama", dict(vocab_size=330)).save_pretrained(tmp_path)
    _, tokenizer = load_checked(tmp_path, hub_model("<s>[INST] {problem} [/INST]"), PROBLEMS, longest=200)
    assert (
        tokenizer.encode("<s>[INST] Find", add_special_tokens=False)
        == raw.encode("<s>[INST] Find", add_special_tokens=False).ids
    )


def test_a_tokenizer_that_is_not_its_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def strange(model_dir: Path) -> PreTrainedTokenizerFast:
        tokenizer = load_tokenizer(model_dir)
        tokenizer.backend_tokenizer.normalizer = normalizers.Replace(" ", "")
        return tokenizer

    monkeypatch.setattr(checked, "load_tokenizer", strange)
    with pytest.raises(UserError, match=r"9 of 9 prompts are other tokens to the tokenizer than tokenizer\.json says"):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


def test_a_tokenizer_that_draws_its_tokens_by_lot_is_refused(folder: Path) -> None:
    path = folder / "tokenizer.json"
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    rewrite(path, model=model | {"dropout": 0.001})
    with pytest.raises(UserError, match=r"tokenizer\.json: model\.dropout = 0\.001: the tokenizer would read a text"):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


def test_a_word_that_settings_make_a_token_is_refused(folder: Path) -> None:
    """No prompt that is tried has it, and others would be read otherwise than tokenizer.json says."""
    (folder / "added_tokens.json").write_text('{"triangle": 999}', encoding="utf-8")
    with pytest.raises(UserError, match=r"the settings beside tokenizer\.json make 'triangle' one token"):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


def byte_level(**changes: object) -> PreTrainedTokenizerFast:
    """The tokenizer of ``folder`` with other parts: ``marks``, ``alphabet``, ``decoder``, ``normalizer``, more ``special`` tokens."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = changes.get("decoder", decoders.ByteLevel())
    marks = changes.get("marks", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    alphabet = changes.get("alphabet", pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator([problem.problem for problem in PROBLEMS], trainer)
    raw.normalizer = changes.get("normalizer", raw.normalizer)
    raw.add_special_tokens(list(changes.get("special", [])))
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=marks[0], additional_special_tokens=marks[1:])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (dict(alphabet=[]), "the tokenizer leaves 'ersitan' out of "),
        (dict(normalizer=normalizers.Replace("678", "")), "the tokenizer leaves '678' out of "),
        (dict(decoder=decoders.Fuse()), "reads its own tokens as .*Ġx"),
        (dict(decoder=decoders.WordPiece()), "reads its own tokens as "),
    ],
    ids=["no token for a letter", "a number dropped", "bytes in letters", "words in pieces"],
)
def test_a_tokenizer_that_loses_text_is_refused(folder: Path, changes: dict, match: str) -> None:
    byte_level(**changes).save_pretrained(folder)
    with pytest.raises(UserError, match=match):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


def test_a_tokenizer_whose_box_comes_back_in_pieces_is_refused(folder: Path) -> None:
    """Prompts without a box come back; a response's answer would not."""
    tokenizer = byte_level(decoder=decoders.Sequence([decoders.ByteLevel(), decoders.Replace("\\boxed", "boxed")]))
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="no answer of this model could be found in its box"):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


def test_a_word_that_the_tokenizer_does_not_know_is_named(folder: Path) -> None:
    marks = ["[UNK]", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    known = [*marks, "user", "assistant", "Find", "x", "if", "678", "+", "=", "over", "."]
    raw = Tokenizer(models.WordLevel({token: index for index, token in enumerate(known)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=marks[1], unk_token="[UNK]", additional_special_tokens=marks[2:]
    ).save_pretrained(folder)
    with pytest.raises(UserError, match=r"the tokenizer has no token for '0', 'ℕ' and would give the model '\[UNK\]'"):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


def test_a_tokenizer_without_a_token_for_unknown_words_is_refused(folder: Path) -> None:
    raw = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = ["<|im_start|>", "<|im_end|>"]
    PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|endoftext|>", additional_special_tokens=marks
    ).save_pretrained(folder)
    with pytest.raises(UserError, match="the tokenizer cannot read it"):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


@pytest.mark.parametrize("special", [list("0123456789"), ["\\boxed{"], ["<0x0A>"]])
def test_special_tokens_that_are_text_are_accepted_and_kept(folder: Path, special: list[str]) -> None:
    byte_level(special=special).save_pretrained(folder)
    _, tokenizer = load_checked(folder, hub_model(), PROBLEMS, longest=100)
    text = f"So {special[0]} \\boxed{{120}}"
    ids = [*tokenizer.encode(text, add_special_tokens=False), *tokenizer.encode("<|im_start|>")]
    assert response_text(tokenizer, ids) == text


@pytest.mark.parametrize("ends", ["2", [[2]], [2, "3"], True])
def test_ends_that_are_no_numbers_are_refused(folder: Path, ends: object) -> None:
    rewrite(folder / "generation_config.json", eos_token_id=ends)
    with pytest.raises(UserError, match=r"generation_config\.json: eos_token_id = .*: must be the number of a token"):
        load_policy(folder)


def test_an_end_beyond_the_head_is_none(folder: Path) -> None:
    rewrite(folder / "generation_config.json", eos_token_id=[5000])
    policy, tokenizer = load_checked(folder, hub_model(), PROBLEMS, longest=100)
    assert tokenizer.convert_ids_to_tokens(policy.generation_config.eos_token_id) == ["<|endoftext|>", "<|im_end|>"]


def test_a_model_that_nothing_ends_is_refused(folder: Path) -> None:
    tokenizer = byte_level(marks=["<|start|>"])
    tokenizer.eos_token = None
    (folder / "generation_config.json").unlink()
    tokenizer.save_pretrained(folder)
    rewrite(folder / "config.json", eos_token_id=None)
    with pytest.raises(UserError, match="nothing ends a response"):
        load_checked(folder, hub_model("{problem}"), PROBLEMS, longest=100)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(folder: Path) -> None:
    tiny("llama", dict(vocab_size=200, eos_token_id=0)).save_pretrained(folder)
    with pytest.raises(UserError, match=r"the tokenizer gives token \d+ \('.*'\) to a model of 200"):
        load_checked(folder, hub_model(), PROBLEMS, longest=100)


def weights(folder: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path, {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda state: state.pop("lm_head.weight"), r"1 are missing in the folder, lm_head\.weight"),
        (lambda state: state.update(other=torch.ones(2)), r"1 are in the folder and not in the model, other"),
        (
            lambda state: state.update({"model.norm.weight": torch.ones(8)}),
            r"1 have another shape than the model's, model\.norm\.weight",
        ),
        (
            lambda state: state.update({"lm_head.weight": state["lm_head.weight"].to(torch.int8)}),
            r"the weights are quantised \(lm_head\.weight in model\.safetensors is I8\)",
        ),
    ],
)
def test_weights_that_are_not_the_models_are_refused(folder: Path, change, match: str) -> None:
    weights(folder, change)
    with pytest.raises(UserError, match=match):
        load_policy(folder)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (dict(model_type="qwen3"), r"not the weights of a Qwen3ForCausalLM: 4 are missing"),
        (dict(model_type="new", auto_map={"AutoConfig": "code.C"}), "code from a model's folder is never run"),
        (dict(quantization_config={"quant_method": "bitsandbytes"}), "the weights are quantised"),
        (dict(rope_parameters=None, rope_theta=None), "the model cannot be read"),
    ],
)
def test_settings_of_another_model_are_refused(folder: Path, settings: dict, match: str) -> None:
    rewrite(folder / "config.json", **settings)
    with pytest.raises(UserError, match=match):
        load_policy(folder)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_beside_a_model_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="whether the weights contain the adapter already cannot be told"):
        load_policy(folder)


@pytest.mark.parametrize("settings", [dict(temperature=0.6, top_p=0.9), dict(do_sample=False, top_k=20)])
def test_sampling_settings_of_a_checkpoint_are_neither_kept_nor_in_the_way_of_saving(
    folder: Path, settings: dict
) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 7], **settings}), encoding="utf-8")
    policy = load_policy(folder)
    policy.save_pretrained(folder / "saved")
    saved = json.loads((folder / "saved" / "generation_config.json").read_text(encoding="utf-8"))
    assert saved["eos_token_id"] == [0, 7]
    assert not settings.keys() & saved.keys()
