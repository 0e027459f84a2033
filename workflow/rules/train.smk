# One run is a method under one training seed. Only run.json is declared, and it is written last: Snakemake deletes declared outputs
# before a job and after a failure, and the checkpoints beside it must outlive both, so that a killed run goes on where it stood.
# The number of processes is a resource, not a parameter: it changes no result, so a run is not trained again for it. Those of several nodes are
# tasks of Slurm, which `srun` starts (`mpi` keeps the plugin from a step of its own around them); those of one are started by the run itself.


rule train:
    input:
        audits=gate_of("train"),  # results/{study}/audit/{benchmark}.json of every benchmark
        model=input_of("train", "model"),  # results/models/{model}/model.json
        teacher=input_of("train", "teacher"),  # the same of the method's teacher, where it has one
        data=input_of("train", "data"),  # results/data/{dataset}/problems.parquet
        curve_data=input_of("train", "curve_data"),  # the same of the benchmark that is watched during training
    output:
        run="results/{study}/runs/{method}/seed{seed}/run.json",
    log:
        "results/logs/train/{study}/{method}/seed{seed}.log",
    benchmark:
        "results/logs/train/{study}/{method}/seed{seed}.usage.jsonl"
    conda:
        conda_of("train")
    container:
        container_of("train")
    threads: threads_of("train")
    resources:
        **resources_of("train"),
        processes=from_config(GRAPH.training_processes),
        start=from_config(GRAPH.training_start),
    params:
        folder=folder_of("run"),
        model=model_of("train"),
        teacher=lambda wildcards, input: [f"--teacher {Path(path).parent}" for path in input.teacher],
        data=lambda wildcards, input: [f"--data {path}" for path in input.data],
        config=settings_of("train"),
        code=code_of("train"),
    shell:
        "exec {resources.start} python -m tokencredit.train --config config --study {wildcards.study} --method {wildcards.method}"
        " --seed {wildcards.seed} --model {params.model} {params.teacher} {params.data} --curve-data {input.curve_data}"
        " --out {params.folder} --processes {resources.processes} --requeue > {log} 2>&1"
