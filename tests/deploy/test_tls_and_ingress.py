"""The components `tls`, `cert-manager`, `ingress` and `ingress-backend-tls`."""

import pytest

from tests.deploy.facts import SERVICES, ServiceFacts
from tests.deploy.manifests import (
    composed,
    container_of,
    find,
    names,
    of_kind,
    pod_of,
    variables,
)

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@each_service
def test_a_certificate_names_what_the_service_is_called(service: ServiceFacts) -> None:
    objects = composed("base", "tls", "cert-manager", "ingress", "ingress-backend-tls")
    certificate = find(objects, "Certificate", service.name)["spec"]
    (volume,) = (v for v in pod_of(objects, service.name)["volumes"] if v["name"] == "tls")
    assert certificate["secretName"] == volume["secret"]["secretName"]
    called = {service.name, f"{service.name}.csm.svc"}
    if service.name == "gateway":
        called.add(find(objects, "BackendTLSPolicy", "csm")["spec"]["validation"]["hostname"])
    else:
        target = variables(container_of(objects, "gateway"))[
            f"CSM_GATEWAY_{service.name.upper()}_TARGET"
        ]
        called.add(target.removeprefix("dns:///").split(":")[0])
    assert called <= set(certificate["dnsNames"])
    assert "server auth" in certificate["usages"]
    issuers = {name: issuer for issuer in of_kind(objects, "Issuer") for name in names([issuer])}
    authority = issuers[certificate["issuerRef"]["name"]]["spec"]["ca"]["secretName"]
    assert find(objects, "Certificate", "csm-ca")["spec"]["secretName"] == authority


def test_the_gateway_shows_a_certificate_of_a_client_from_the_same_authority() -> None:
    objects = composed("base", "tls", "cert-manager")
    shown = find(objects, "Certificate", "gateway-client")["spec"]
    assert "client auth" in shown["usages"]
    told = variables(container_of(objects, "gateway"))
    (volume,) = (v for v in pod_of(objects, "gateway")["volumes"] if v["name"] == "client-tls")
    assert volume["secret"]["secretName"] == shown["secretName"]
    (mount,) = (
        each
        for each in container_of(objects, "gateway")["volumeMounts"]
        if each["name"] == "client-tls"
    )
    for name, file in (("CA", "ca.crt"), ("CERTIFICATE", "tls.crt"), ("KEY", "tls.key")):
        assert told[f"CSM_GATEWAY_BACKEND_{name}"] == f"{mount['mountPath']}/{file}"
    issuer = find(objects, "Certificate", "tokenizer")["spec"]["issuerRef"]
    assert shown["issuerRef"] == issuer


def test_only_who_shows_a_certificate_reaches_a_model_service() -> None:
    objects = composed("base", "tls")
    gateway = variables(container_of(objects, "gateway"))
    assert {"CSM_GATEWAY_BACKEND_CA", "CSM_GATEWAY_BACKEND_CERTIFICATE"} <= set(gateway)
    assert "CSM_GATEWAY_TLS_CLIENT_CA" not in gateway
    for name in ("tokenizer", "generator"):
        told = variables(container_of(objects, name))
        assert f"CSM_{name.upper()}_TLS_CLIENT_CA" in told
    for service in of_kind(objects, "Service"):
        for port in service["spec"]["ports"]:
            assert port.get("appProtocol") in (None, "https")


def test_routes_lead_to_ports_that_there_are_by_names_that_somebody_listens_for() -> None:
    objects = composed("base", "ingress")
    listeners = {
        each["name"]: each["hostname"]
        for each in find(objects, "Gateway", "csm")["spec"]["listeners"]
    }
    # One name may not be a GRPCRoute's and an HTTPRoute's both.
    assert len(set(listeners.values())) == len(listeners) == 2
    ports = {p["name"]: p["port"] for p in find(objects, "Service", "gateway")["spec"]["ports"]}
    for kind, name in (("GRPCRoute", "grpc"), ("HTTPRoute", "http")):
        spec = find(objects, kind, "csm")["spec"]
        assert spec["parentRefs"] == [{"name": "csm", "sectionName": name}]
        assert spec["hostnames"] == [listeners[name]]
        (rule,) = spec["rules"]
        assert rule["backendRefs"] == [{"name": "gateway", "port": ports[name]}]
    (match,) = find(objects, "GRPCRoute", "csm")["spec"]["rules"][0]["matches"]
    assert match["method"]["service"] == SERVICES["gateway"].full_name
