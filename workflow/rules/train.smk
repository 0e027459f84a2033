# One run is one method under one seed. Only run.json is declared, and it is written last: Snakemake deletes declared outputs before a job and
# after a failure, and the checkpoints beside run.json must outlive both, so that a killed run goes on from them.
# The number of processes is a resource, not a parameter: it changes no result, so a run is not trained again for it.


rule train:
    input:
        audits=ancient(ask(GRAPH.audits)),
        model=ask(GRAPH.base_model),
        teacher=ask(GRAPH.teacher_model),
        data=ask(GRAPH.training_data),
        curve_data=ask(GRAPH.curve_data),
    output:
        run="results/{study}/runs/{cell}/seed{seed}/run.json",
    log:
        "results/logs/train/{study}/{cell}/seed{seed}.log",
    benchmark:
        "results/logs/train/{study}/{cell}/seed{seed}.usage.jsonl"
    conda:
        conda_of("train")
    container:
        container_of("train")
    threads: threads_of("train")
    resources:
        **resources_of("train"),
        processes=ask(GRAPH.training_processes),
    params:
        folder=folder_of("run"),
        model=lambda wildcards, input: str(Path(input.model).parent),
        teacher=lambda wildcards, input: [f"--teacher {Path(path).parent}" for path in input.teacher],
        data=lambda wildcards, input: [f"--data {path}" for path in input.data],
        config=ask(GRAPH.training_config),
        code=ask(GRAPH.training_code),
    shell:
        "exec python -m tokencredit.train --config config --study {wildcards.study} --cell {wildcards.cell}"
        " --seed {wildcards.seed} --model {params.model} {params.teacher} {params.data} --curve-data {input.curve_data}"
        " --out {params.folder} --processes {resources.processes} --requeue > {log} 2>&1"
