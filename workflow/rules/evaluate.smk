# Evaluation has three stages, so that answers can be graded again without being generated again. The grader's audit comes before all of them.


rule audit:
    input:
        problems=input_of("audit", "problems"),  # results/data/{dataset}/problems.parquet
    output:
        "results/{study}/audit/{benchmark}.json",
    log:
        "results/logs/audit/{study}/{benchmark}.log",
    benchmark:
        "results/logs/audit/{study}/{benchmark}.usage.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    container:
        "envs/evaluate.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        options=options_of("audit"),
        code=code_of("audit"),
    shell:
        "python -m tokencredit.grading audit --benchmark {wildcards.benchmark} --problems {input.problems} --out {output}"
        " {params.options} --workers {threads} > {log} 2>&1"


rule generate:
    input:
        audits=gate_of("generate"),  # results/{study}/audit/{benchmark}.json of every benchmark
        model=input_of("generate", "model"),  # run.json of the row's run, or model.json of a base model
        problems=input_of("generate", "problems"),  # results/data/{dataset}/problems.parquet
    output:
        "results/{study}/eval/{row}/seed{seed}/{benchmark}/generations.parquet",
    log:
        "results/logs/generate/{study}/{row}/seed{seed}/{benchmark}.log",
    benchmark:
        "results/logs/generate/{study}/{row}/seed{seed}/{benchmark}.usage.jsonl"
    conda:
        conda_of("generate")
    container:
        container_of("generate")
    threads: threads_of("generate")
    resources:
        **resources_of("generate"),
    params:
        model=model_of("generate"),
        config=settings_of("generate"),
        code=code_of("generate"),
    shell:
        "python -m tokencredit.evaluate generate --config config --study {wildcards.study} --row {wildcards.row}"
        " --seed {wildcards.seed} --benchmark {wildcards.benchmark} --model-dir {params.model}"
        " --problems {input.problems} --out {output} > {log} 2>&1"


rule grade:
    input:
        generations="results/{study}/eval/{row}/seed{seed}/{benchmark}/generations.parquet",
        problems=input_of("grade", "problems"),  # results/data/{dataset}/problems.parquet
        audits=gate_of("grade", direct=False),
    output:
        "results/{study}/eval/{row}/seed{seed}/{benchmark}/grades.parquet",
    log:
        "results/logs/grade/{study}/{row}/seed{seed}/{benchmark}.log",
    benchmark:
        "results/logs/grade/{study}/{row}/seed{seed}/{benchmark}.usage.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    container:
        "envs/evaluate.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        grader=options_of("grade"),
        code=code_of("grade"),
    shell:
        "python -m tokencredit.evaluate grade --generations {input.generations} --problems {input.problems}"
        " --out {output} {params.grader} --workers {threads} > {log} 2>&1"


rule score:
    input:
        # Of every benchmark of the study:
        problems=input_of("score", "problems"),  # results/data/{dataset}/problems.parquet
        generations=input_of("score", "generations"),  # results/{study}/eval/{row}/seed{seed}/{benchmark}/generations.parquet
        grades=input_of("score", "grades"),  # …/grades.parquet
        audits=gate_of("score", direct=False),
    output:
        "results/{study}/eval/{row}/seed{seed}/scores.parquet",
    log:
        "results/logs/score/{study}/{row}/seed{seed}.log",
    benchmark:
        "results/logs/score/{study}/{row}/seed{seed}.usage.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    container:
        "envs/evaluate.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        config=settings_of("score"),
        code=code_of("score"),
    shell:
        "python -m tokencredit.evaluate score --config config --study {wildcards.study} --row {wildcards.row}"
        " --seed {wildcards.seed} --eval-dir {params.folder} --data-dir results/data --out {output}"
        " --workers {threads} > {log} 2>&1"
