# The measured credit of tokens: at stored responses every plausible next token is tried and continued. Finished problems are kept in `work`,
# beside the declared files, so that a killed measurement goes on with the next problem.


rule oracle:
    input:
        audits=ancient(ask(GRAPH.audits)),
        base=ask(GRAPH.base_model),
        runs=ask(GRAPH.oracle_runs),
        data=ask(GRAPH.training_data),
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
        model=ask(GRAPH.oracle_model),
        runs=lambda wildcards, input: [f"--run {Path(path).parent}" for path in input.runs],
        data=lambda wildcards, input: [f"--data {path}" for path in input.data],
        config=ask(GRAPH.oracle_config),
        code=ask(GRAPH.oracle_code),
    shell:
        "python -m tokencredit.oracle measure --config config --study {wildcards.study} --policy {wildcards.policy}"
        " --seed {wildcards.seed} --model-dir {params.model} {params.runs} {params.data} --out {params.folder} > {log} 2>&1"
