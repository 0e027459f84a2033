# The measured credit of tokens: at stored responses every plausible next token is tried and continued. Finished problems are kept in `work`,
# beside the declared files, so that a killed measurement goes on with the next problem.


rule oracle:
    input:
        audits=gate_of("oracle"),  # results/{study}/audit/{benchmark}.json of every benchmark
        base=input_of("oracle", "base"),  # results/models/{model}/model.json
        runs=input_of("oracle", "runs"),  # run.json of the runs whose stored responses are measured
        data=input_of("oracle", "data"),  # results/data/{dataset}/problems.parquet
    output:
        states="results/{study}/oracle/{policy}/seed{seed}/states.parquet",
        branches="results/{study}/oracle/{policy}/seed{seed}/branches.parquet",
    log:
        "results/logs/oracle/{study}/{policy}/seed{seed}.log",
    benchmark:
        "results/logs/oracle/{study}/{policy}/seed{seed}.usage.jsonl"
    wildcard_constraints:
        policy=NAME,
    conda:
        conda_of("oracle")
    container:
        container_of("oracle")
    threads: threads_of("generate")
    resources:
        **resources_of("generate"),
    params:
        folder=folder_of("states"),
        model=model_of("oracle"),
        runs=lambda wildcards, input: [f"--run {Path(path).parent}" for path in input.runs],
        data=lambda wildcards, input: [f"--data {path}" for path in input.data],
        config=settings_of("oracle"),
        code=code_of("oracle"),
    shell:
        "python -m tokencredit.oracle measure --config config --study {wildcards.study} --policy {wildcards.policy}"
        " --seed {wildcards.seed} --model-dir {params.model} {params.runs} {params.data} --out {params.folder} > {log} 2>&1"


# What the weights of the base model say of the same responses: the log-probs of one that is told the answer, and each method's gradients.


rule attribute:
    input:
        audits=gate_of("attribute"),  # results/{study}/audit/{benchmark}.json of every benchmark
        base=input_of("attribute", "base"),  # results/models/{model}/model.json
        runs=input_of("attribute", "runs"),  # run.json of the runs whose stored responses and credit are read
        data=input_of("attribute", "data"),  # results/data/{dataset}/problems.parquet
    output:
        hindsight="results/{study}/attribution/seed{seed}/hindsight.parquet",
        gradients="results/{study}/attribution/seed{seed}/gradients.parquet",
        groups="results/{study}/attribution/seed{seed}/groups.parquet",
    log:
        "results/logs/attribute/{study}/seed{seed}.log",
    benchmark:
        "results/logs/attribute/{study}/seed{seed}.usage.jsonl"
    conda:
        conda_of("attribute")
    container:
        container_of("attribute")
    threads: threads_of("generate")
    resources:
        **resources_of("generate"),
    params:
        folder=folder_of("hindsight"),
        model=model_of("attribute"),
        runs=lambda wildcards, input: [f"--run {Path(path).parent}" for path in input.runs],
        data=lambda wildcards, input: [f"--data {path}" for path in input.data],
        config=settings_of("attribute"),
        code=code_of("attribute"),
    shell:
        "python -m tokencredit.oracle attribute --config config --study {wildcards.study} --seed {wildcards.seed}"
        " --model-dir {params.model} {params.runs} {params.data} --out {params.folder} > {log} 2>&1"
