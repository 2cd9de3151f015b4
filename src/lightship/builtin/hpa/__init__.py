"""HorizontalPodAutoscalers: as many pods as their load asks for.

`samples` are what is measured, `replicas` what follows for one metric, `behavior` how fast it may happen; `metrics` reads the metrics APIs,
`proposing` goes through the metrics of one autoscaler, in the words of `telling`; `controller` scales, through `scaling`.
"""
