# Problems from pinned sources, and how much of each benchmark stands in each training set. Local: the sources may be on the Hub.


rule prepare:
    output:
        problems="results/data/{dataset}/problems.parquet",
        manifest="results/data/{dataset}/manifest.json",
    log:
        "results/logs/prepare/{dataset}.log",
    benchmark:
        "results/logs/prepare/{dataset}.usage.jsonl"
    conda:
        "../../envs/data.yaml"
    container:
        "envs/data.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        folder=folder_of("problems"),
        config=from_config(GRAPH.dataset_config),
        code=later(GRAPH.dataset_code),
    shell:
        "python -m tokencredit.data prepare --config config --dataset {wildcards.dataset} --out {params.folder}"
        " > {log} 2>&1"


rule overlap:
    input:
        train="results/data/{train}/problems.parquet",
        train_manifest="results/data/{train}/manifest.json",
        benchmark="results/data/{dataset}/problems.parquet",
        benchmark_manifest="results/data/{dataset}/manifest.json",
    output:
        "results/data/overlap/{train}--{dataset}.json",
    log:
        "results/logs/overlap/{train}--{dataset}.log",
    benchmark:
        "results/logs/overlap/{train}--{dataset}.usage.jsonl"
    conda:
        "../../envs/data.yaml"
    container:
        "envs/data.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        train=lambda wildcards, input: str(Path(input.train).parent),
        against=lambda wildcards, input: str(Path(input.benchmark).parent),
        code=later(lambda wildcards: code.overlap()),
    shell:
        "python -m tokencredit.data overlap --train {params.train} --against {params.against} --out {output}"
        " > {log} 2>&1"


localrules:
    prepare,
