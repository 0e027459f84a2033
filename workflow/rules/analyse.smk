# Tables and figures. Each is made from the stored records that it shows, and from nothing else.


rule table:
    input:
        input_of("table", "records"),  # what its entry in workflow/tokencredit/study/exhibits.py reads
        gate_of("table", direct=False),
    output:
        csv="results/{study}/tables/{exhibit}.csv",
        tex="results/{study}/tables/{exhibit}.tex",
        origin="results/{study}/tables/{exhibit}.json",
    log:
        "results/logs/table/{study}/{exhibit}.log",
    benchmark:
        "results/logs/table/{study}/{exhibit}.usage.jsonl"
    conda:
        "../../envs/analysis.yaml"
    container:
        "envs/analysis.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        folder=folder_of("csv"),
        config=settings_of("table"),
        code=code_of("table"),
    shell:
        "python -m tokencredit.analysis tables --config config --study {wildcards.study} --results results"
        " --only {wildcards.exhibit} --out {params.folder} > {log} 2>&1"


rule figure:
    input:
        input_of("figure", "records"),  # what its entry in workflow/tokencredit/study/exhibits.py reads
        gate_of("figure", direct=False),
    output:
        pdf="results/{study}/figures/{exhibit}.pdf",
        png="results/{study}/figures/{exhibit}.png",
        csv="results/{study}/figures/{exhibit}.csv",
        origin="results/{study}/figures/{exhibit}.json",
    log:
        "results/logs/figure/{study}/{exhibit}.log",
    benchmark:
        "results/logs/figure/{study}/{exhibit}.usage.jsonl"
    conda:
        "../../envs/analysis.yaml"
    container:
        "envs/analysis.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        folder=folder_of("csv"),
        config=settings_of("figure"),
        code=code_of("figure"),
    shell:
        "python -m tokencredit.analysis figures --config config --study {wildcards.study} --results results"
        " --only {wildcards.exhibit} --out {params.folder} > {log} 2>&1"
