"""The judge of evidence format v1, as the first edition was released with it. Never change what it asks or finds.

A capsule holds the answers to the questions of its day, so only the judge of its day can ask them again. These modules
are copies for that reason, and nothing but `ml.promotion.evidence_formats` uses them: the judge that the console works
with is `ml.slo`. Readers of bytes (`ml.slo.exchanges`, `ml.slo.source`, `ml.slo.exchanges`) are shared by all.
"""
