# The models that studies start from or evaluate: trained here from scratch, or released: of the Hub, of a folder, of a package.


rule pretrain:
    output:
        manifest="results/models/{model}/model.json",
    log:
        "results/logs/pretrain/{model}.log",
    benchmark:
        "results/logs/pretrain/{model}.usage.jsonl"
    wildcard_constraints:
        model="|".join(map(re.escape, GRAPH.embedded_models())),
    conda:
        "../../envs/train.yaml"
    container:
        "envs/train.sif"
    threads: threads_of("pretrain")
    resources:
        **resources_of("pretrain"),
    params:
        folder=folder_of("manifest"),
        config=from_config(GRAPH.model_config),
        code=later(GRAPH.pretraining_code),
    # Threads that wait for each other soon stop spinning: it costs a tenth on a free machine, and saves most of the time on a busy one.
    shell:
        "GOMP_SPINCOUNT=2000 python -m tokencredit.base --config config --model {wildcards.model} --out {params.folder}"
        " > {log} 2>&1"


rule fetch:
    input:
        files=from_config(GRAPH.files_of_model),
    output:
        manifest="results/models/{model}/model.json",
    log:
        "results/logs/fetch/{model}.log",
    benchmark:
        "results/logs/fetch/{model}.usage.jsonl"
    wildcard_constraints:
        model="|".join(map(re.escape, GRAPH.released_models())),
    conda:
        "../../envs/train.yaml"
    container:
        "envs/train.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        folder=folder_of("manifest"),
        config=from_config(GRAPH.model_config),
        code=later(GRAPH.fetching_code),
    shell:
        "python -m tokencredit.base --config config --model {wildcards.model} --out {params.folder} > {log} 2>&1"


# Compute nodes often have no way to the Hub.
localrules:
    fetch,
