# The search for a data recipe: a pool of rows with their signals, searches that train and score one recipe after the other, and the recipes
# that are tested. An evaluation needs the history of those before it and their number is fixed, so a search is one job. Its finished
# evaluations are kept in `work`, beside the declared file, so that a killed search goes on with the next. Tests are read by `tune` alone;
# `pool` takes their problems out of the rows.


rule pool:
    input:
        audits=gate_of("pool"),  # results/{study}/audit/{benchmark}.json of every benchmark
        model=input_of("pool", "model"),  # results/models/{model}/model.json
        validation=input_of("pool", "validation"),  # results/data/{dataset}/problems.parquet
        tests=input_of("pool", "tests"),  # the same of every benchmark
    output:
        pool="results/{study}/data-recipe/pool/pool.parquet",
        pairs="results/{study}/data-recipe/pool/pairs.parquet",
    log:
        "results/logs/pool/{study}.log",
    benchmark:
        "results/logs/pool/{study}.usage.jsonl"
    conda:
        conda_of("pool")
    container:
        container_of("pool")
    threads: threads_of("generate")
    resources:
        **resources_of("generate"),
    params:
        folder=folder_of("pool"),
        model=model_of("pool"),
        tests=lambda wildcards, input: [f"--tests {path}" for path in input.tests],
        config=settings_of("pool"),
        code=code_of("pool"),
    shell:
        "python -m tokencredit.data_recipe pool --config config --study {wildcards.study} --model-dir {params.model}"
        " --validation {input.validation} {params.tests} --out {params.folder} > {log} 2>&1"


rule search:
    input:
        audits=gate_of("search", direct=False),
        pool=input_of("search", "pool"),  # results/{study}/data-recipe/pool/{pool,pairs}.parquet
        model=input_of("search", "model"),  # results/models/{model}/model.json
        validation=input_of("search", "validation"),  # results/data/{dataset}/problems.parquet
    output:
        history="results/{study}/data-recipe/search/{search}/seed{seed}/history.parquet",
    log:
        "results/logs/search/{study}/{search}/seed{seed}.log",
    benchmark:
        "results/logs/search/{study}/{search}/seed{seed}.usage.jsonl"
    conda:
        conda_of("search")
    container:
        container_of("search")
    threads: threads_of("generate")
    resources:
        **resources_of("generate"),
    params:
        folder=folder_of("history"),
        pool=lambda wildcards, input: str(Path(input.pool[0]).parent),
        model=model_of("search"),
        config=settings_of("search"),
        code=code_of("search"),
    shell:
        "python -m tokencredit.data_recipe search --config config --study {wildcards.study} --search {wildcards.search}"
        " --seed {wildcards.seed} --model-dir {params.model} --pool {params.pool} --validation {input.validation}"
        " --out {params.folder} > {log} 2>&1"


rule tune:
    input:
        audits=gate_of("tune", direct=False),
        pool=input_of("tune", "pool"),  # results/{study}/data-recipe/pool/{pool,pairs}.parquet
        model=input_of("tune", "model"),  # results/models/{model}/model.json
        validation=input_of("tune", "validation"),  # results/data/{dataset}/problems.parquet
        tests=input_of("tune", "tests"),  # the same of every benchmark
        found=input_of("tune", "found"),  # history.parquet of the search whose winner, or its size, is taken
    output:
        manifest="results/{study}/data-recipe/tuned/{line}/seed{seed}/model.json",
        scores="results/{study}/data-recipe/tuned/{line}/seed{seed}/tuned.parquet",
    log:
        "results/logs/tune/{study}/{line}/seed{seed}.log",
    benchmark:
        "results/logs/tune/{study}/{line}/seed{seed}.usage.jsonl"
    conda:
        conda_of("tune")
    container:
        container_of("tune")
    threads: threads_of("generate")
    resources:
        **resources_of("generate"),
    params:
        folder=folder_of("manifest"),
        pool=lambda wildcards, input: str(Path(input.pool[0]).parent),
        model=model_of("tune"),
        tests=lambda wildcards, input: [f"--tests {path}" for path in input.tests],
        found=lambda wildcards, input: [f"--found {path}" for path in input.found],
        config=settings_of("tune"),
        code=code_of("tune"),
    shell:
        "python -m tokencredit.data_recipe tune --config config --study {wildcards.study} --line {wildcards.line}"
        " --seed {wildcards.seed} --model-dir {params.model} --pool {params.pool} --validation {input.validation}"
        " {params.tests} {params.found} --out {params.folder} > {log} 2>&1"
