"""CreditBench: the token weights of any method against measured credit, beside what training with them was worth.

What it reads is shipped (``config/creditbench.yaml``): ``records`` and ``signals`` read it, ``submission`` reads a method of one's own,
``board`` and ``figure`` compare and show, all without torch. ``tensors`` runs credit functions, with it. ``tools.bench_records`` makes what
is shipped, from the bundles of studies.
"""
