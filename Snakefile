# The whole study as a graph of files. `snakemake` builds the tables, figures and report of the study `toy`; name another by
# `--config study=paper-7b`, or name any file of any study: `snakemake results/toy/runs/eapo/seed0/run.json`.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"


# Not the tables and figures alone: what a failed or killed job took away is made again although what was made from it stands.
rule all:
    input:
        GRAPH.everything(STUDY),


rule runs:
    input:
        GRAPH.runs(STUDY),


rule scores:
    input:
        GRAPH.scores(STUDY),


# All that comes from elsewhere, for compute nodes that reach nothing: `snakemake --profile slurm prefetch`.
rule prefetch:
    input:
        GRAPH.fetched(STUDY),


# What would run and what it takes; what is done, runs or failed. They ask snakemake itself, make no file, and may be asked while it runs.
rule plan:
    retries: 0
    handover: True
    params:
        study=STUDY,
    shell:
        "python -m tokencredit plan --study {params.study} --remaining"


rule status:
    retries: 0
    handover: True
    params:
        study=STUDY,
    shell:
        "python -m tokencredit status --study {params.study}"


localrules:
    all,
    runs,
    scores,
    prefetch,
    plan,
    status,


include: "workflow/rules/data.smk"
include: "workflow/rules/base.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/oracle.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"
