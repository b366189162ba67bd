"""The scripted engine (`engine.kind = "echo"`): llama.cpp's HTTP API with answers by rule.

It repeats the words of the last user message, at the pace and with the faults it is asked for, so
that tests of shapes, timing and failure take milliseconds and benches measure us and not a model.
A request steers it by a last user message (or prompt) of `/echo ` and a JSON object, see
`script.Directive`. `GET /echo/requests` lists the last bodies it was sent.

It follows no grammar and no schema, and says of itself nothing about quality.
"""
