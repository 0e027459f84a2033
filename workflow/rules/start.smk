# A study's supervised start: its model, trained on solutions before any method trains it. A killed one goes on where it stood.


rule start:
    input:
        audits=gate_of("start"),  # results/{study}/audit/{benchmark}.json of every benchmark
        model=input_of("start", "model"),  # results/models/{model}/model.json
        data=input_of("start", "data"),  # results/data/{dataset}/problems.parquet
    output:
        manifest="results/{study}/start/model.json",
    log:
        "results/logs/start/{study}.log",
    benchmark:
        "results/logs/start/{study}.usage.jsonl"
    conda:
        "../../envs/train.yaml"
    container:
        "envs/train.sif"
    threads: threads_of("pretrain")
    resources:
        **resources_of("pretrain"),
    params:
        folder=folder_of("manifest"),
        model=model_of("start"),
        config=settings_of("start"),
        code=code_of("start"),
    shell:
        "exec python -m tokencredit.train.start --config config --study {wildcards.study} --model {params.model}"
        " --data {input.data} --out {params.folder} > {log} 2>&1"
