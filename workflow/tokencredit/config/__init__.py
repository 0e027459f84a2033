"""The typed configuration: what is run. Every file of ``config/`` is read here, checked whole, and resolved before the first job.

Unknown keys, unknown names and impossible combinations are ``UserError`` sentences that name the file, the key, the value and what is
allowed. Nothing heavy is imported: the graph reads the configuration at every start.
"""

from tokencredit.config.bench_keys import BenchFile, MeasuredPolicy
from tokencredit.config.claim_keys import (
    Claim,
    Contrast,
    CreditContrast,
    EntropyContrast,
    Experiment,
    ScoreContrast,
    SpeedContrast,
    StepsContrast,
)
from tokencredit.config.common_keys import BenchmarkUse
from tokencredit.config.data_recipe_keys import DataRecipe, EmbeddedPool, FilePool, Step, Tuning
from tokencredit.config.keys import (
    Benchmark,
    Dataset,
    FileDataset,
    GeneratedDataset,
    Gpu,
    HubSource,
    Method,
    Recipe,
    Restart,
)
from tokencredit.config.load import Config, load_study
from tokencredit.config.model_keys import (
    Architecture,
    EmbeddedModel,
    FolderModel,
    HubModel,
    Model,
    PackageModel,
    Pretraining,
    Released,
)
from tokencredit.config.reading import read_yaml
from tokencredit.config.resource_keys import JobResources, Resources, TrainingResources
from tokencredit.config.study import Row, Study
from tokencredit.config.study_keys import (
    Curve,
    Evaluation,
    EvaluationRow,
    Oracle,
    RolloutRecord,
    Sampling,
    StudyFile,
    Training,
)

__all__ = [
    "Architecture",
    "BenchFile",
    "Benchmark",
    "BenchmarkUse",
    "Claim",
    "Config",
    "Contrast",
    "CreditContrast",
    "Curve",
    "DataRecipe",
    "Dataset",
    "EmbeddedModel",
    "EmbeddedPool",
    "EntropyContrast",
    "Evaluation",
    "EvaluationRow",
    "Experiment",
    "FileDataset",
    "FilePool",
    "FolderModel",
    "GeneratedDataset",
    "Gpu",
    "HubModel",
    "HubSource",
    "JobResources",
    "MeasuredPolicy",
    "Method",
    "Model",
    "Oracle",
    "PackageModel",
    "Pretraining",
    "Recipe",
    "Released",
    "Resources",
    "Restart",
    "RolloutRecord",
    "Row",
    "Sampling",
    "ScoreContrast",
    "SpeedContrast",
    "Step",
    "StepsContrast",
    "Study",
    "StudyFile",
    "Training",
    "TrainingResources",
    "Tuning",
    "load_study",
    "read_yaml",
]
