"""The typed configuration: what is run. Every file of ``config/`` is read here, checked whole, and resolved before the first job.

Unknown keys, unknown names and impossible combinations are ``UserError`` sentences that name the file, the key, the value and what is
allowed. Nothing heavy is imported: the graph reads the configuration at every start.
"""

from tokencredit.config.claim_keys import (
    Claim,
    Contrast,
    CreditContrast,
    EntropyContrast,
    ScoreContrast,
    SpeedContrast,
    StepsContrast,
)
from tokencredit.config.keys import (
    Architecture,
    Benchmark,
    Dataset,
    EmbeddedModel,
    FileDataset,
    GeneratedDataset,
    Gpu,
    HubModel,
    HubSource,
    Method,
    Model,
    Pretraining,
    Recipe,
)
from tokencredit.config.load import Config, load_study
from tokencredit.config.reading import read_yaml
from tokencredit.config.study import Row, Study
from tokencredit.config.study_keys import (
    BenchmarkUse,
    Curve,
    Evaluation,
    EvaluationRow,
    JobResources,
    Oracle,
    Resources,
    RolloutRecord,
    Sampling,
    StudyFile,
    Training,
    TrainingResources,
)

__all__ = [
    "Architecture",
    "Benchmark",
    "BenchmarkUse",
    "Claim",
    "Config",
    "Contrast",
    "CreditContrast",
    "Curve",
    "Dataset",
    "EmbeddedModel",
    "EntropyContrast",
    "Evaluation",
    "EvaluationRow",
    "FileDataset",
    "GeneratedDataset",
    "Gpu",
    "HubModel",
    "HubSource",
    "JobResources",
    "Method",
    "Model",
    "Oracle",
    "Pretraining",
    "Recipe",
    "Resources",
    "RolloutRecord",
    "Row",
    "Sampling",
    "ScoreContrast",
    "SpeedContrast",
    "StepsContrast",
    "Study",
    "StudyFile",
    "Training",
    "TrainingResources",
    "load_study",
    "read_yaml",
]
