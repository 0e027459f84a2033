# Three stages, so that answers can be graded again without being generated again; before all of them, the audit of the grader.


rule audit:
    input:
        problems=ask(GRAPH.benchmark_problems),
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
        options=ask(GRAPH.audit_options),
        code=digest("grading.audit"),
    shell:
        "python -m tokencredit.grading audit --benchmark {wildcards.benchmark} --problems {input.problems} --out {output}"
        " {params.options} --workers {threads} > {log} 2>&1"


rule generate:
    input:
        audits=ancient(ask(GRAPH.audits)),
        model=ask(GRAPH.evaluated_model),
        problems=ask(GRAPH.benchmark_problems),
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
        model=ask(GRAPH.evaluated_folder),
        config=ask(GRAPH.generation_config),
        code=ask(GRAPH.generation_code),
    shell:
        "python -m tokencredit.evaluate generate --config config --study {wildcards.study} --row {wildcards.row}"
        " --seed {wildcards.seed} --benchmark {wildcards.benchmark} --model-dir {params.model}"
        " --problems {input.problems} --out {output} > {log} 2>&1"


rule grade:
    input:
        generations="results/{study}/eval/{row}/seed{seed}/{benchmark}/generations.parquet",
        problems=ask(GRAPH.benchmark_problems),
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
        grader=ask(GRAPH.grader),
        code=digest("grading.table"),
    shell:
        "python -m tokencredit.grading grade --generations {input.generations} --problems {input.problems}"
        " --out {output} {params.grader} --workers {threads} > {log} 2>&1"


rule score:
    input:
        unpack(ask(GRAPH.score_inputs)),
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
        config=ask(GRAPH.score_config),
        code=digest("evaluate.score"),
    shell:
        "python -m tokencredit.evaluate score --config config --study {wildcards.study} --row {wildcards.row}"
        " --seed {wildcards.seed} --eval-dir {params.folder} --data-dir results/data --out {output}"
        " --workers {threads} > {log} 2>&1"
