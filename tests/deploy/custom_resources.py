"""Schemas of the custom resources that our manifests use: the fields that they use, and no others.

Written from the definitions of cert-manager 1.19, KEDA 2.18, the Gateway API 1.4 and the Prometheus
operator 0.86. A field that is not here is taken for a slip of the pen: look it up, then add it.
"""

from __future__ import annotations

from typing import Any

import jsonschema

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
HOST: Schema = {"type": "string", "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
FLAG: Schema = {"type": "boolean"}


def count(least: int = 0) -> Schema:
    return {"type": "integer", "minimum": least}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def many(schema: Schema, most: int = 1000) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": schema}


def fields(*required: str, **properties: Schema) -> Schema:
    """An object of these fields and no others; `_` at the end of a name is for Python's words."""
    named = {name.rstrip("_"): schema for name, schema in properties.items()}
    return {
        "type": "object",
        "properties": named,
        "required": list(required),
        "additionalProperties": False,
    }


LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = fields("name", "namespace", name=TEXT, namespace=TEXT, labels=LABELS)

ISSUER = fields("name", name=TEXT, kind=one_of("Issuer", "ClusterIssuer"), group=TEXT)
CERTIFICATE = fields(
    *("secretName", "issuerRef"),
    isCA=FLAG,
    commonName={"type": "string", "maxLength": 64},
    secretName=TEXT,
    dnsNames=many(HOST),
    usages=many(one_of("digital signature", "key encipherment", "server auth", "client auth")),
    duration=DURATION,
    renewBefore=DURATION,
    privateKey=fields(
        algorithm=one_of("RSA", "ECDSA", "Ed25519"),
        size=one_of(256, 384, 521, 2048, 4096),  # type: ignore[arg-type]
        rotationPolicy=one_of("Never", "Always"),
    ),
    issuerRef=ISSUER,
)

SCALING_POLICY = fields(
    *("type", "value", "periodSeconds"),
    type=one_of("Pods", "Percent"),
    value=count(1),
    periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
)
SCALING = fields(
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3600},
    policies=many(SCALING_POLICY),
)
TRIGGER = fields(
    *("type", "metadata"),
    type=one_of("prometheus", "cpu"),
    metricType=one_of("AverageValue", "Value", "Utilization"),
    metadata=LABELS,
)
SCALED_OBJECT = fields(
    *("scaleTargetRef", "triggers"),
    scaleTargetRef=fields("name", apiVersion=TEXT, kind=TEXT, name=TEXT),
    minReplicaCount=count(),
    maxReplicaCount=count(1),
    pollingInterval=count(1),
    cooldownPeriod=count(),
    fallback=fields(
        *("failureThreshold", "replicas"),
        failureThreshold=count(),
        replicas=count(),
        behavior=one_of(
            "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"
        ),
    ),
    triggers=many(TRIGGER),
    advanced=fields(
        horizontalPodAutoscalerConfig=fields(behavior=fields(scaleUp=SCALING, scaleDown=SCALING))
    ),
)

OBJECT = fields("name", group={"type": "string"}, kind=TEXT, name=TEXT)
TARGET = fields("group", "kind", "name", group={"type": "string"}, kind=TEXT, name=TEXT)
PARENT = fields("name", name=TEXT, sectionName=TEXT)
BACKEND = fields("name", "port", name=TEXT, port=PORT)
GATEWAY = fields(
    *("gatewayClassName", "listeners"),
    gatewayClassName=TEXT,
    listeners=many(
        fields(
            *("name", "port", "protocol"),
            name=TEXT,
            hostname=HOST,
            port=PORT,
            protocol=one_of("HTTP", "HTTPS", "TLS"),
            tls=fields(mode=one_of("Terminate", "Passthrough"), certificateRefs=many(OBJECT)),
        ),
        64,
    ),
)
GRPC_ROUTE = fields(
    parentRefs=many(PARENT),
    hostnames=many(HOST, 16),
    rules=many(
        fields(
            matches=many(fields(method=fields(type=one_of("Exact"), service=TEXT, method=TEXT))),
            backendRefs=many(BACKEND, 16),
        ),
        16,
    ),
)
HTTP_ROUTE = fields(
    parentRefs=many(PARENT),
    hostnames=many(HOST, 16),
    rules=many(
        fields(
            matches=many(
                fields(
                    path=fields(type=one_of("Exact", "PathPrefix", "RegularExpression"), value=TEXT)
                )
            ),
            timeouts=fields(request=DURATION, backendRequest=DURATION),
            backendRefs=many(BACKEND, 16),
        ),
        16,
    ),
)
BACKEND_TLS = fields(
    *("targetRefs", "validation"),
    targetRefs=many(TARGET),
    validation=fields(
        "hostname",
        hostname=HOST,
        caCertificateRefs=many(TARGET, 8),
        wellKnownCACertificates=one_of("System"),
    ),
)

POD_MONITOR = fields(
    *("selector", "podMetricsEndpoints"),
    scrapeClassicHistograms=FLAG,
    selector=fields(matchLabels=LABELS),
    podMetricsEndpoints=many(
        fields(
            port=TEXT,
            interval=DURATION,
            relabelings=many(fields(sourceLabels=many(TEXT), targetLabel=TEXT)),
        )
    ),
)
RULES = fields(
    groups=many(
        fields(
            *("name", "rules"),
            name=TEXT,
            rules=many(
                fields(
                    "expr",
                    alert=TEXT,
                    record=TEXT,
                    expr=TEXT,
                    for_=DURATION,
                    labels=LABELS,
                    annotations=LABELS,
                )
            ),
        )
    )
)

SPECS = {
    ("cert-manager.io/v1", "Issuer"): fields(
        selfSigned=fields(), ca=fields("secretName", secretName=TEXT)
    ),
    ("cert-manager.io/v1", "Certificate"): CERTIFICATE,
    ("keda.sh/v1alpha1", "ScaledObject"): SCALED_OBJECT,
    ("gateway.networking.k8s.io/v1", "Gateway"): GATEWAY,
    ("gateway.networking.k8s.io/v1", "GRPCRoute"): GRPC_ROUTE,
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): HTTP_ROUTE,
    ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"): BACKEND_TLS,
    ("monitoring.coreos.com/v1", "PodMonitor"): POD_MONITOR,
    ("monitoring.coreos.com/v1", "PrometheusRule"): RULES,
}


def check(manifest: dict[str, Any]) -> bool:
    """Whether it is of a custom resource that is known here.

    Raises:
        jsonschema.ValidationError: It is, and does not follow the schema.
    """
    spec = SPECS.get((manifest["apiVersion"], manifest["kind"]))
    if spec is None:
        return False
    schema = fields(
        *("apiVersion", "kind", "metadata", "spec"),
        apiVersion=TEXT,
        kind=TEXT,
        metadata=METADATA,
        spec=spec,
    )
    jsonschema.validate(manifest, schema)
    return True
