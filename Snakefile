# The whole study as a graph of files. `snakemake` builds the tables, figures and report of the study `toy`; name another by
# `--config study=paper-7b`, or name any file of any study: `snakemake results/toy/runs/eapo/seed0/run.json`.
from snakemake.utils import min_version

# Before it, `container` and `conda` are no functions, or default resources cannot be asked for by name.
min_version("9.16.3")


include: "workflow/rules/common.smk"


# `all` lists every file, not only tables and figures. Otherwise a run that a failed job deleted would stay missing as long as its table exists.
rule all:
    input:
        GRAPH.everything(STUDY),


rule runs:
    input:
        GRAPH.runs(STUDY),


rule scores:
    input:
        GRAPH.scores(STUDY),


# All that is downloaded, for compute nodes without internet: `snakemake --profile slurm prefetch`.
rule prefetch:
    input:
        GRAPH.fetched(STUDY),


# `plan`: what would run and what it needs. `status`: what is done, running or failed. Both ask snakemake itself, make no file, and may be
# asked while snakemake runs.
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
include: "workflow/rules/start.smk"
include: "workflow/rules/data_recipe.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/oracle.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"
