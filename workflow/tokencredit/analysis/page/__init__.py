"""``results/<study>/index.html``: everything that a study found, on one page that needs nothing but itself.

``write`` fills the templates (``template``): ``story`` is the question and its answer, ``learning`` the curves of runs and the notes of
people, ``viewer`` the tokens to look at, ``comparison`` the charts of methods, ``judged`` the claims and experiments, ``exhibits`` the
tables and figures, ``checks`` the mismatch gate, ``origins`` the provenance, ``costs`` time and memory; ``so_far`` is what there is of a
study that runs. ``toggles`` are the methods that a reader hides. ``overview`` lists the pages of all studies.
"""
